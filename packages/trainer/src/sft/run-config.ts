// The configuration of a run of supervised fine-tuning.
import { dpoConfigSchema, type ParsedSFTConfig, sftConfigSchema } from "@tunesmith/core";
import { type RunConfig, readConfig } from "../loop/run-config.ts";

/**
 * Reads the `config.resolved.yaml` of a run folder. Its `outputDir` is the folder itself, wherever that has been moved. One of
 * `DPOTrainer` has that name in `fromProgram`, and the options of DPOConfig: those of every run are there.
 */
export function readRunConfig(runDir: string): Promise<RunConfig<ParsedSFTConfig>> {
  return readConfig<ParsedSFTConfig>(runDir, sftConfigSchema, { DPOTrainer: dpoConfigSchema });
}
