// What the definitions of all commands share.
import type { Command } from "commander";
import type { Input } from "../commands/chat.ts";
import type { Streams } from "../commands/train.ts";

/** What a command is run with. */
export interface Surroundings {
  /** The command line, for what need not be known of a command. */
  argv: readonly string[];
  streams: Streams;
  /** What is typed. */
  input: Input;
  /** Gets the exit code of the command that ran. */
  finish(code: number): void;
}

/** Adds flags, help and action to a command that has its name and description. */
export type Define = (command: Command, surroundings: Surroundings) => void;

export const modelHelp = "model folder, GGUF file, or ORG/NAME of the Hugging Face Hub";
export const targetHelp = "run folder, model folder, GGUF file, or ORG/NAME";
export const configHelp = "YAML or JSON file with any of these options; a flag beats the file";
export const jsonHelp = "one JSON event per line on standard output, everything else on standard error";
