// What the commands that write models take and do.
import { exportReaders, ggufQuantizations } from "@tunesmith/sdk";
import type { Command } from "commander";
import { checkForReader, exportCard, exportToGguf } from "../commands/export.ts";
import { merge as mergeTarget } from "../commands/merge.ts";
import { examples } from "../help.ts";
import { type Define, targetHelp } from "./surroundings.ts";

export const merge: Define = (merging, { streams, finish }) => {
  merging
    .argument("<run-or-model>", targetHelp)
    .option("--dtype <name>", "float32, float16 or bfloat16 (default: the model's 16-bit type, else bfloat16)")
    .option("--max-shard-size <size>", "bytes of a safetensors file at most, such as 5GB or 300MB (default: 5GB)")
    .option("--prompt <text>", "prompt of the check against the model with its adapter on")
    .option("--no-check", "write only");
  addWriting(merging);
  merging.addHelpText("after", examples("tunesmith merge runs/first --output merged"));
  merging.action(async (target: string, flags: Record<string, unknown>) =>
    finish(await mergeTarget(target, flags, streams)),
  );
};

export const exporting: Define = (command, { streams, finish }) => {
  command
    .argument("[path]", "with --check: adapter folder, model folder or .gguf file")
    .option("--check <reader>", `whether ${exportReaders.join(", ")} reads it, and how it is started`)
    .action(async (path: string | undefined, flags: Record<string, unknown>) =>
      finish(await checkForReader(path, flags, streams)),
    );
};

export const gguf: Define = (command, { streams, finish }) => {
  command
    .argument("<run-or-model>", targetHelp)
    .option(
      "--quantization <type>",
      `${ggufQuantizations.join(", ")}, or Unsloth's fast_quantized, quantized, not_quantized (default: q8_0; with --lora f32)`,
    )
    .option(
      "--imatrix <file>",
      "importance matrix that llama-imatrix wrote: columns that see large numbers keep theirs better",
    )
    .option("--lora", "the adapter alone, for llama.cpp's --lora")
    .option("--modelfile", "an Ollama Modelfile beside the file");
  addWriting(command);
  command.addHelpText("after", examples("tunesmith export gguf runs/first --output model.gguf"));
  command.action(async (target: string, flags: Record<string, unknown>) =>
    finish(await exportToGguf(target, flags, streams)),
  );
};

export const card: Define = (command, { streams, finish }) => {
  command
    .argument("<run>", "run folder")
    .option("--output <path>", "the file to write (default: README.md in the run folder)")
    .option("--overwrite", "replace what is at --output")
    .addHelpText("after", examples("tunesmith export card runs/first"))
    .action(async (run: string, flags: Record<string, unknown>) => finish(await exportCard(run, flags, streams)));
};

function addWriting(command: Command): void {
  command
    .option("--output <path>", "what to write; required")
    .option("--adapter <dir>", "PEFT adapter folder to merge; default: the run's")
    .option("--base <name>", "merge into the original weights, or into their nf4 values (default: original)")
    .option("--overwrite", "replace what is at --output");
}
