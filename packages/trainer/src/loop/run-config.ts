// The configuration a run can be repeated from: `config.resolved.yaml`.
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  CheckpointError,
  type DatasetSpec,
  datasetSpecSchema,
  type EvalDatasetSpec,
  evalDatasetSpecSchema,
  FileSystemError,
  loraConfigSchema,
  modelConfigSchema,
  type ParsedLoraConfig,
  type ParsedModelConfig,
  type ParsedTrainingArguments,
  type Schemas,
  sortOptions,
} from "@tunesmith/core";
import { type DatasetEntry, type DatasetSource, originOf } from "@tunesmith/data";
import { parse } from "yaml";
import * as z from "zod";
import { evalSetsOf } from "../options/eval-sets.ts";
import type { Resolved } from "../options/resolved.ts";
import { configName } from "../record/run-record.ts";
import type { RunInputs } from "./recipe.ts";
import { defaultTrainer, trainerEntry } from "./trainer-name.ts";

/** What a run was started with; running it again gives the same run. */
export interface RunConfig<Args> {
  /** Name of the trainer. */
  trainer: string;
  /** Path of the model, or ORG/NAME of one of the Hugging Face Hub. */
  model: string;
  /** Its commit; null for a path. */
  modelRevision: string | null;
  /** Paths or names of the data sets; null for data that was given in memory. */
  data: DatasetSpec | null;
  evalData: EvalDatasetSpec | null;
  /** Names of what only a program can give, such as functions, where it gave them. */
  fromProgram: string[];
  args: Args;
  peftConfig: ParsedLoraConfig;
  modelConfig: ParsedModelConfig;
}

/** Trainer, model and data, then every option under its own name. */
export function describeConfig(trainer: string, inputs: RunInputs, args: Resolved): object {
  const { model, peft, fromProgram = [] } = inputs;
  const { origin, path } = model.info;
  // A model of the Hub is found by its name wherever its cache has gone.
  const base = { model: origin?.name ?? resolve(path), modelRevision: origin?.revision ?? null };
  const [data, evalData] = datasetSpecs(inputs);
  const given = fromProgram.length === 0 ? {} : { fromProgram };
  const options = { ...model.weightOptions, ...model.takenOptions, ...args, ...peft };
  // A token is nothing to leave in a file that people hand on.
  return {
    ...trainerEntry(trainer),
    ...base,
    data,
    evalData,
    ...given,
    ...options,
    ...("hubToken" in options ? { hubToken: undefined } : {}),
  };
}

/** How a configuration file names the data sets of a run; null for rows given in memory, and for no evaluation set. */
export function datasetSpecs(
  inputs: Pick<RunInputs, "trainDataset" | "evalDataset" | "splitFrom">,
): [train: DatasetSpec | null, evaluation: EvalDatasetSpec | null] {
  const { trainDataset, evalDataset, splitFrom = null } = inputs;
  if (splitFrom !== null) return [specOf(splitFrom), null];
  return [specOf(trainDataset), evalSpecOf(evalDataset)];
}

function evalSpecOf(given: RunInputs["evalDataset"]): EvalDatasetSpec | null {
  const sets = evalSetsOf(given).map(({ name, source }) => [name, specOf(source)] as const);
  const [only] = sets;
  if (only === undefined || only[0] === null) return only?.[1] ?? null;
  const specs = sets.flatMap(([name, spec]) => (spec === null ? [] : [[name, spec] as const]));
  return specs.length < sets.length ? null : Object.fromEntries(specs);
}

function specOf(source: DatasetSource): DatasetSpec | null {
  const entries = originOf(source)?.map(specEntry) ?? null;
  const [first, ...others] = entries ?? [];
  return others.length === 0 ? (first ?? null) : entries;
}

/** Paths are absolute, so that a run can be continued from any folder; a data set of the Hub has a revision. */
function specEntry(entry: DatasetEntry): string | DatasetEntry {
  if (entry.revision !== undefined) return entry;
  const path = resolve(entry.path);
  return entry.weight === undefined ? path : { ...entry, path };
}

/**
 * Reads the configuration of a run folder. Its `outputDir` is the folder itself, wherever that has been moved.
 *
 * @param trainers schemas of the trainers' arguments, by their names
 */
export async function readConfig<Name extends string>(
  runDir: string,
  trainers: Readonly<Record<Name, Schemas[string]>>,
): Promise<RunConfig<ParsedTrainingArguments> & { trainer: Name }> {
  const path = join(runDir, configName);
  const { trainer: named, model, modelRevision, data, evalData, fromProgram, ...options } = await readInputs(path);
  if (!Object.hasOwn(trainers, named))
    throw new CheckpointError(
      `[${path}] expected trainer ${Object.keys(trainers).join(" or ")}, got ${JSON.stringify(named)}; it is of another version, or was changed`,
    );
  const trainer = named as Name;
  const schemas = { args: trainers[trainer], peftConfig: loraConfigSchema, modelConfig: modelConfigSchema };
  const { args, peftConfig, modelConfig } = sortOptions(schemas, options, path);
  return {
    trainer,
    model,
    modelRevision,
    data,
    evalData,
    fromProgram,
    args: { ...(args as ParsedTrainingArguments), outputDir: runDir },
    peftConfig,
    modelConfig,
  };
}

/** What stands in the file beside options. */
const inputsSchema = z.looseObject({
  trainer: z.string().default(defaultTrainer),
  model: z.string().min(1),
  modelRevision: z.string().min(1).nullable().default(null),
  data: datasetSpecSchema.nullable().default(null),
  evalData: evalDatasetSpecSchema.nullable().default(null),
  fromProgram: z.array(z.string()).default([]),
});

async function readInputs(path: string): Promise<z.output<typeof inputsSchema>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new FileSystemError(
      `[${path}] expected the configuration of a run, got ${(cause as Error).message}; is ${dirname(path)} a run folder?`,
      { cause },
    );
  }
  const advice = "correct it, or start a new run";
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    const [line] = (cause as Error).message.split("\n");
    throw new CheckpointError(`[${path}] expected the configuration of a run, got ${line}; ${advice}`, { cause });
  }
  const { data, error } = inputsSchema.safeParse(value);
  if (data !== undefined) return data;
  const [issue] = error.issues;
  const got =
    issue?.path.length === 0 ? JSON.stringify(value)?.slice(0, 80) : `${issue?.path.join(".")}: ${issue?.message}`;
  throw new CheckpointError(`[${path}] expected the configuration of a run, got ${got}; ${advice}`);
}
