// Options of a run once every default that depends on other options, or on what is trained, has been decided.
import type { ParsedTrainingArguments } from "@tunesmith/core";

/** What is decided from the options alone, before any row is read. */
interface SettledArguments {
  outputDir: string;
  learningRate: number;
  evalStrategy: "no" | "steps" | "epoch";
  evalSteps: number;
}

/** Options whose recomputation is still to be decided. */
export type Settled<Args extends ParsedTrainingArguments = ParsedTrainingArguments> = Args & SettledArguments;

/** Options of a run, all decided. */
export type Resolved<Args extends ParsedTrainingArguments = ParsedTrainingArguments> = Settled<Args> & {
  gradientCheckpointing: boolean;
};
