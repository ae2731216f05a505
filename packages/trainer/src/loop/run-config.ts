// The configuration a run can be repeated from: `config.resolved.yaml`.
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import {
  FileSystemError,
  loraConfigSchema,
  modelConfigSchema,
  type ParsedLoraConfig,
  type ParsedModelConfig,
  type ParsedTrainingArguments,
  type Schemas,
  sortOptions,
} from "@tunesmith/core";
import type { DatasetSource } from "@tunesmith/data";
import { parse } from "yaml";
import type { Resolved } from "../options/resolved.ts";
import type { RunInputs } from "./recipe.ts";

/** Its file in a run folder. */
export const configName = "config.resolved.yaml";

/** What a run was started with; running it again gives the same run. */
export interface RunConfig<Args> {
  /** Path of the model. */
  model: string;
  /** Paths of the data sets; null for data that was given in memory. */
  data: string | null;
  evalData: string | null;
  args: Args;
  peftConfig: ParsedLoraConfig;
  modelConfig: ParsedModelConfig;
}

/** Model and data paths, then every option under its own name. */
export function describeConfig({ model, trainDataset, evalDataset, peft }: RunInputs, args: Resolved): object {
  const paths = { model: resolve(model.info.path), data: pathOf(trainDataset), evalData: pathOf(evalDataset) };
  return { ...paths, ...model.weightOptions, ...args, ...peft };
}

/** Absolute, so that a run can be continued from any folder; null for rows given in memory. */
function pathOf(source: DatasetSource | null): string | null {
  return typeof source === "string" ? resolve(source) : null;
}

/**
 * Reads the configuration of a run folder. Its `outputDir` is the folder itself, wherever that has been moved.
 *
 * @param schema of the trainer's arguments
 */
export async function readConfig<Args extends ParsedTrainingArguments>(
  runDir: string,
  schema: Schemas[string],
): Promise<RunConfig<Args>> {
  const path = join(runDir, configName);
  let values: Record<string, unknown>;
  try {
    values = parse(await readFile(path, "utf8")) as Record<string, unknown>;
  } catch (cause) {
    throw new FileSystemError(
      `[${path}] expected the configuration of a run, got ${(cause as Error).message}; is ${runDir} a run folder?`,
      { cause },
    );
  }
  const { model, data, evalData, ...options } = values;
  const schemas = { args: schema, peftConfig: loraConfigSchema, modelConfig: modelConfigSchema };
  const { args, peftConfig, modelConfig } = sortOptions(schemas, options, path);
  return {
    model: model as string,
    data: data as string | null,
    evalData: evalData as string | null,
    args: { ...(args as Args), outputDir: runDir },
    peftConfig,
    modelConfig,
  };
}
