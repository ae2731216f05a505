// The commands and their flags.
import { createRequire } from "node:module";
import { Command, InvalidArgumentError } from "commander";
import { chat, type Input } from "./commands/chat.ts";
import { doctor } from "./commands/doctor.ts";
import { estimate } from "./commands/estimate.ts";
import { exportToGguf } from "./commands/export.ts";
import { merge } from "./commands/merge.ts";
import { resume } from "./commands/resume.ts";
import { type Streams, train } from "./commands/train.ts";
import { addModelFlags, addSchemaFlags, flagValues } from "./flags.ts";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

/** The command line. `finish` gets the exit code of the command that ran. */
export function buildProgram(streams: Streams, input: Input, finish: (code: number) => void): Command {
  const { out, err } = streams;
  const program = new Command("tunesmith")
    .description("Fine-tune language models on your own machine.")
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: (text) => out.write(text), writeErr: (text) => err.write(text) });

  const training = program
    .command("train")
    .description("fine-tune a model on your data")
    .option("--model <name>", "model folder, GGUF file, or ORG/NAME of the Hugging Face Hub")
    .option("--data <file>", "training rows: JSONL or a JSON array of messages, prompt/completion or text")
    .option("--eval-data <file>", "held-out rows, in the same formats")
    .option("--config <file>", "YAML or JSON file with any of these options; a flag beats the file")
    .option("--dry-run", "check options, model and data, print them, and stop");
  addDevice(training);
  addJson(training);
  addSchemaFlags(training);
  training.action(async () => finish(await train(flagValues(training), streams)));

  const estimating = program
    .command("estimate")
    .description("tell the memory a run would take, without reading weights; exit code 1 when it does not fit")
    .argument("<model>", "model folder, GGUF file, or ORG/NAME of the Hugging Face Hub")
    .option("--config <file>", "YAML or JSON file with any of these options; a flag beats the file");
  addDevice(estimating);
  estimating.option("--json", "the estimate as one line of JSON");
  addSchemaFlags(estimating);
  estimating.action(async (model: string) => finish(await estimate(model, flagValues(estimating), streams)));

  const resuming = program
    .command("resume")
    .description("continue an interrupted run from its newest whole checkpoint")
    .argument("<run-dir>", "run folder");
  addDevice(resuming);
  addJson(resuming);
  resuming.action(async (runDir: string, flags: Record<string, unknown>) =>
    finish(await resume(runDir, flags, streams)),
  );

  const chatting = program
    .command("chat")
    .description("talk to a model, or to the result of a run")
    .argument("<run-or-model>", "run folder, model folder, GGUF file, or ORG/NAME")
    .option("--adapter <dir>", "PEFT adapter folder to use; default: the run's")
    .option("--prompt <text>", "answer this one prompt and stop")
    .option("--system <text>", "system message to begin with")
    .option("--max-new-tokens <number>", "tokens of an answer at most (default: 256)", number)
    .option("--temperature <number>", "0 takes the likeliest token (default: 0)", number)
    .option("--top-k <number>", "sample from the k likeliest tokens; 0 is off (default: 0)", number)
    .option("--top-p <number>", "sample from the likeliest tokens of this total probability (default: 1)", number)
    .option("--min-p <number>", "drop tokens less likely than this times the likeliest (default: 0)", number)
    .option("--repetition-penalty <number>", "above 1 avoids tokens that were already used (default: 1)", number)
    .option("--seed <number>", "seed of sampling (default: 0)", number);
  addDevice(chatting);
  addModelFlags(chatting);
  chatting.action(async (target: string, flags: Record<string, unknown>) =>
    finish(await chat(target, flags, streams, input)),
  );

  addMerge(program, streams, finish);
  addExport(program, streams, finish);

  program
    .command("doctor")
    .description("check this machine: Node, engine, memory, disk, hub")
    .action(async () => finish(await doctor(streams)));
  return program;
}

function addMerge(program: Command, streams: Streams, finish: (code: number) => void): void {
  const merging = program
    .command("merge")
    .description("write a model with its adapter merged in, as a Hugging Face folder, and check its logits")
    .argument("<run-or-model>", "run folder, model folder, GGUF file, or ORG/NAME")
    .option("--dtype <name>", "float32, float16 or bfloat16 (default: the model's 16-bit type, else bfloat16)")
    .option("--max-shard-size <size>", "bytes of a safetensors file at most, such as 5GB or 300MB (default: 5GB)")
    .option("--prompt <text>", "prompt of the check against the model with its adapter on")
    .option("--no-check", "write only");
  addWriting(merging);
  merging.action(async (target: string, flags: Record<string, unknown>) => finish(await merge(target, flags, streams)));
}

function addExport(program: Command, streams: Streams, finish: (code: number) => void): void {
  const exporting = program.command("export").description("write a model for other programs");
  const gguf = exporting
    .command("gguf")
    .description("write a model with its adapter merged in, or the adapter alone, for llama.cpp")
    .argument("<run-or-model>", "run folder, model folder, GGUF file, or ORG/NAME")
    .option("--quantization <type>", "f32, f16, bf16, q8_0 or q4_0 (default: q8_0; with --lora f32)")
    .option("--lora", "the adapter alone, for llama.cpp's --lora");
  addWriting(gguf);
  gguf.action(async (target: string, flags: Record<string, unknown>) =>
    finish(await exportToGguf(target, flags, streams)),
  );
}

function addWriting(command: Command): void {
  command
    .option("--output <path>", "what to write; required")
    .option("--adapter <dir>", "PEFT adapter folder to merge; default: the run's")
    .option("--base <name>", "merge into the original weights, or into their nf4 values (default: original)")
    .option("--overwrite", "replace what lies at --output");
}

/** Every long flag of every command. */
export function knownFlags(program: Command): string[] {
  const below = program.commands.flatMap(knownFlags);
  return [...program.options.flatMap(({ long }) => (long ? [long] : [])), ...below];
}

function addDevice(command: Command): void {
  command
    .option("--device <name>", "cuda, cpu or auto (default: auto, the best there is)")
    .option("--threads <number>", "CPU threads; results do not depend on it (default: the physical cores)");
}

function addJson(command: Command): void {
  command.option("--json", "one JSON event per line on standard output, everything else on standard error");
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
  return value;
}
