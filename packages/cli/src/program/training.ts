// What the commands that train take and do.
import type { Schemas } from "@tunesmith/core";
import type { Command } from "commander";
import type { Streams } from "../commands/train.ts";
import { addSchemaFlags, dpoScriptSchemas, flagValues, groupTitle, sftSchemas, trainingSchemas } from "../flags.ts";
import { examples } from "../help.ts";
import { configHelp, type Define, jsonHelp, type Surroundings } from "./surroundings.ts";

/** A command that trains. */
interface Training {
  schemas: Schemas;
  examples: readonly string[];
  /** Gives the exit code. */
  start(flags: Record<string, unknown>, streams: Streams): Promise<number>;
}

function addTraining(training: Command, { argv, streams, finish }: Surroundings, command: Training): void {
  training
    .optionsGroup(groupTitle("run"))
    .option("--config <file>", configHelp)
    .option("--dry-run", "check options, model and data, print them, and stop")
    .option("--json", jsonHelp);
  addSchemaFlags(training, command.schemas, argv);
  training.addHelpText("after", examples(...command.examples));
  training.action(async () => finish(await command.start(flagValues(training), streams)));
}

/** Reads the command itself, once it runs. */
async function trainBy(flags: Record<string, unknown>, streams: Streams): Promise<number> {
  const [command, { trainers }] = await Promise.all([
    import("../commands/train.ts"),
    import("../commands/trainers.ts"),
  ]);
  return command.train(trainers.sft, flags, streams);
}

export const train: Define = (command, surroundings) =>
  addTraining(command, surroundings, {
    schemas: trainingSchemas,
    examples: [
      "tunesmith train --model ORG/NAME --data train.jsonl --output-dir runs/first",
      "tunesmith train --config run.yaml --learning-rate 1e-4",
      "tunesmith train --model ./model --data train.jsonl --load-in-4bit --dry-run",
    ],
    start: trainBy,
  });

export const dpo: Define = (command, surroundings) =>
  addTraining(command, surroundings, {
    schemas: dpoScriptSchemas,
    examples: [
      "tunesmith dpo --model ORG/NAME --data pairs.jsonl --learning-rate 1e-5 --beta 0.1",
      "tunesmith dpo --model ORG/NAME --data pairs.jsonl --loss-type sigmoid bco_pair --loss-weights 1 0.5",
      "tunesmith dpo --model ./model --data pairs.jsonl --adapter-path runs/first/adapter --dry-run",
      "tunesmith dpo --model_name_or_path ORG/NAME --dataset_name ORG/PAIRS --use_peft --lora_r 32",
    ],
    start: async (flags, streams) => (await import("../commands/dpo.ts")).dpo(flags, streams),
  });

export const sft: Define = (command, surroundings) =>
  addTraining(command, surroundings, {
    schemas: sftSchemas,
    examples: [
      "tunesmith sft --model_name_or_path ORG/NAME --dataset_name ORG/ROWS --use_peft --lora_r 32 --output_dir out",
      "tunesmith sft --config sft_config.yaml --learning_rate 1e-5",
    ],
    start: async (flags, streams) => (await import("../commands/sft.ts")).sft(flags, streams),
  });

export const sweep: Define = (sweeping, { streams, finish }) => {
  sweeping
    .argument("<file>", "YAML or JSON file of options, with lists of values below sweep")
    .optionsGroup(groupTitle("run"))
    .option("--no-stop-bad-arms", "train every arm to its end (default: the median rule stops bad ones)")
    .option("--dry-run", "check the file, list the arms, and stop")
    .option("--json", "the arms as one line of JSON on standard output, everything else on standard error");
  sweeping.addHelpText("after", examples("tunesmith sweep sweep.yaml", "tunesmith sweep sweep.yaml --dry-run"));
  sweeping.action(async (file: string) => {
    const command = await import("../commands/sweep.ts");
    finish(await command.sweep(file, flagValues(sweeping), streams));
  });
};
