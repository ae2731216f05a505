// `tunesmith sft`: takes what `trl sft` takes, and trains with its defaults.
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import {
  type DatasetSpec,
  expandHome,
  loraConfigSchema,
  OptionError,
  optionsOf,
  type ParsedScriptArguments,
  scriptDefaults,
  sortOptions,
} from "@tunesmith/core";
import { localSplit } from "@tunesmith/sdk";
import pc from "picocolors";
import { readConfigFile } from "../config-file.ts";
import { sftSchemas } from "../flags.ts";
import { type Streams, trainWith } from "./train.ts";

/** Options of ScriptArguments, and what they are handed on as. */
const scriptNames = Object.keys(sftSchemas.script.shape);

/** Options that describe an adapter. */
const adapterNames = optionsOf(loraConfigSchema)
  .filter(({ group, name }) => group === "adapter" && name !== "fullFinetuning" && name !== "adapterPath")
  .map(({ name }) => name);

/** `tunesmith sft`. Gives the exit code. */
export async function sft(flags: Record<string, unknown>, streams: Streams): Promise<number> {
  const { config, json = false, dryRun = false, ...given } = flags;
  const file = config === undefined ? {} : await readConfigFile(config as string, sftSchemas);
  const { env, ...written } = file;
  setEnvironment(env);
  const all = withModelOptions({ ...written, ...given });
  const { script, inputs, args } = sortOptions(sftSchemas, all, "tunesmith sft");
  const { options, unused } = await optionsOfRun(all, script, inputs.data as string | null, args.evalStrategy);
  if (unused.length > 0)
    streams.err.write(
      `${pc.yellow("warning:")} without --use_peft no adapter is trained, and not used are: ${unused.join(", ")}\n`,
    );
  return trainWith(options, { json: json === true, dryRun: dryRun === true, place: "tunesmith sft" }, streams);
}

/** The options of `tunesmith train` that these are: without names of the script, with its data sets, and with TRL's defaults. */
async function optionsOfRun(
  all: Record<string, unknown>,
  script: ParsedScriptArguments,
  data: string | null,
  evalStrategy: string | null,
): Promise<{ options: Record<string, unknown>; unused: string[] }> {
  const own = Object.fromEntries(Object.entries(all).filter(([name]) => !scriptNames.includes(name)));
  const unused = script.usePeft ? [] : adapterNames.filter((name) => own[name] !== undefined && own[name] !== null);
  const isDefault = (name: string) => script.usePeft || !adapterNames.includes(name);
  const defaults = Object.fromEntries(Object.entries(scriptDefaults).filter(([name]) => isDefault(name)));
  for (const name of unused) delete own[name];
  const { datasets, datasetConfig, datasetTrainSplit, datasetTestSplit } = script;
  const evaluates = (evalStrategy ?? "no") !== "no" && own.testSize === undefined;
  const sets =
    datasets !== null && datasets.length > 0
      ? { data: await mixtureOf(datasets) }
      : {
          data: data === null ? null : await splitOf(data, datasetConfig, datasetTrainSplit),
          evalData: data === null || !evaluates ? null : await splitOf(data, datasetConfig, datasetTestSplit),
        };
  return { options: { ...defaults, ...own, ...sets, fullFinetuning: !script.usePeft }, unused };
}

async function mixtureOf(datasets: NonNullable<ParsedScriptArguments["datasets"]>): Promise<DatasetSpec> {
  const sets = [];
  for (const { path, name = null, split = "train" } of datasets) sets.push(await splitOf(path, name, split));
  const [only] = sets;
  return sets.length === 1 && only !== undefined ? only : (sets.flat() as DatasetSpec);
}

/** A split of a folder or file of this machine, or of a data set of the Hub. */
async function splitOf(given: string, name: string | null, split: string): Promise<DatasetSpec> {
  const path = resolve(expandHome(given));
  const isHere = (await stat(path).catch(() => null)) !== null;
  if (!isHere) return { path: given, split, ...(name !== null && { name }) };
  const [first = path, ...others] = await localSplit(path, { name, split });
  return others.length === 0 ? first : [first, ...others];
}

/** Options with those of `model_init_kwargs`, which say how the model is opened. */
function withModelOptions(all: Record<string, unknown>): Record<string, unknown> {
  const { modelInitKwargs, ...options } = all;
  if (modelInitKwargs === undefined || modelInitKwargs === null) return options;
  if (typeof modelInitKwargs !== "object")
    throw new OptionError(
      `[modelInitKwargs] expected options of the model as JSON, got ${JSON.stringify(modelInitKwargs)}; correct it`,
    );
  const { revision, torch_dtype: torchDtype, ...kwargs } = modelInitKwargs as Record<string, unknown>;
  return {
    ...kwargs,
    ...(revision === undefined ? {} : { modelRevision: revision }),
    ...(torchDtype === undefined ? {} : { dtype: torchDtype }),
    ...options,
  };
}

/** `env` of a configuration file: variables of the environment. */
function setEnvironment(env: unknown): void {
  if (env === undefined || env === null) return;
  for (const [name, value] of Object.entries(env)) process.env[name] = String(value);
}
