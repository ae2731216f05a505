// The configuration of a run of supervised fine-tuning.
import { type ParsedSFTConfig, sftConfigSchema } from "@tunesmith/core";
import { type RunConfig, readConfig } from "../loop/run-config.ts";

/** Reads the `config.resolved.yaml` of a run folder. Its `outputDir` is the folder itself, wherever that has been moved. */
export function readRunConfig(runDir: string): Promise<RunConfig<ParsedSFTConfig>> {
  return readConfig<ParsedSFTConfig>(runDir, sftConfigSchema);
}
