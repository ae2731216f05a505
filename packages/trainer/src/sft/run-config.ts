// The configuration of a run, whichever trainer it is of.
import { dpoConfigSchema, grpoConfigSchema, type ParsedTrainingArguments, sftConfigSchema } from "@tunesmith/core";
import { type RunConfig, readConfig } from "../loop/run-config.ts";

/** The options of each trainer, by its name in the file. */
const trainers = { sft: sftConfigSchema, dpo: dpoConfigSchema, grpo: grpoConfigSchema };

/** A trainer, as a run names it. */
export type TrainerName = keyof typeof trainers;

/**
 * Reads the `config.resolved.yaml` of a run folder. Its `outputDir` is the folder itself, wherever that has been moved. `args` holds the
 * options of its trainer; their type names those that all trainers share. A file that names no trainer is of supervised fine-tuning.
 */
export function readRunConfig(runDir: string): Promise<RunConfig<ParsedTrainingArguments> & { trainer: TrainerName }> {
  return readConfig(runDir, trainers);
}
