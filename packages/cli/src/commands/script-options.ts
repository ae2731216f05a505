// What TRL's scripts take besides the options of a run: which rows are read, whether there is an adapter, how the model is opened.
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import {
  canonicalKeys,
  canonicalName,
  type DatasetSpec,
  expandHome,
  loraConfigSchema,
  modelConfigSchema,
  namesOf,
  OptionError,
  optionsOf,
  type ParsedRunInputs,
  type ParsedScriptArguments,
  scriptArgumentsSchema,
} from "@tunesmith/core";

/** Options of ScriptArguments, and what they are handed on as. */
const scriptNames = Object.keys(scriptArgumentsSchema.shape);

/** Options that describe an adapter. */
export const adapterNames = optionsOf(loraConfigSchema)
  .filter(({ group, name }) => group === "adapter" && name !== "fullFinetuning" && name !== "adapterPath")
  .map(({ name }) => name);

/** Options that say how a model is opened, and those of `model_init_kwargs` that have another name there. */
const modelNames = ["modelRevision", ...namesOf({ model: modelConfigSchema })];
const renamed: Readonly<Record<string, string>> = {
  revision: "modelRevision",
  torch_dtype: "dtype",
  torchDtype: "dtype",
};

/** What a script of TRL's is here, where it is more than its options. */
export interface ScriptRules {
  /** What is not given is as it is there; of an adapter only where there is one by usePeft. */
  defaults: Readonly<Record<string, unknown>>;
  /** Whether there is an adapter where usePeft is not given; null: as the options of the run say. */
  usePeft: boolean | null;
}

/** What of all options decides which rows are read and whether there is an adapter, checked. */
interface Decisive {
  script: ParsedScriptArguments;
  inputs: ParsedRunInputs;
  evalStrategy: string | null;
}

/** The options of a run that a script's are: without names of the script, with its data sets, and with its defaults. */
export async function optionsOfRun(
  all: Record<string, unknown>,
  { script, inputs: { data, evalData }, evalStrategy }: Decisive,
  rules: ScriptRules,
): Promise<{ options: Record<string, unknown>; warnings: string[] }> {
  const isGiven = (name: string) => all[name] !== undefined && all[name] !== null;
  const usePeft = isGiven("usePeft") ? script.usePeft : rules.usePeft;
  if (usePeft === true && all.fullFinetuning === true)
    throw new OptionError(
      "[usePeft] expected either an adapter or every weight, got usePeft and fullFinetuning; leave one of them out",
    );
  const own = Object.fromEntries(Object.entries(all).filter(([name]) => !scriptNames.includes(name)));
  const unused = usePeft !== false ? [] : adapterNames.filter(isGiven);
  for (const name of unused) delete own[name];
  const isDefault = (name: string) =>
    ((usePeft === true && !isGiven("adapterPath")) || !adapterNames.includes(name)) &&
    // Held-out rows by Tunesmith's own name are evaluated on as they are without TRL's default.
    (name !== "evalStrategy" || evalData === null) &&
    (name !== "bnb4bitUseDoubleQuant" || all.loadIn4bit === true);
  const defaults = Object.fromEntries(Object.entries(rules.defaults).filter(([name]) => isDefault(name)));
  const { datasets, datasetConfig, datasetTrainSplit, datasetTestSplit } = script;
  const mixed = datasets !== null && datasets.length > 0 ? await mixtureOf(datasets) : null;
  // A data set in another form than TRL's says itself which rows it is.
  const named = mixed === null && typeof data === "string" ? data : null;
  const readsTest = named !== null && evalData === null && (evalStrategy ?? "no") !== "no" && !isGiven("testSize");
  const sets = {
    data: named === null ? (mixed ?? data) : await splitOf(named, datasetConfig, datasetTrainSplit),
    evalData: readsTest ? await splitOf(named, datasetConfig, datasetTestSplit) : evalData,
  };
  const unread = [
    ...(mixed === null ? [] : ["data"]),
    ...(named === null ? ["datasetConfig", "datasetTrainSplit"] : []),
    ...(readsTest ? [] : ["datasetTestSplit"]),
  ].filter(isGiven);
  return {
    options: { ...defaults, ...own, ...sets, ...(usePeft !== null && { fullFinetuning: !usePeft }) },
    warnings: [
      ...(unused.length > 0
        ? [`without --use_peft no adapter is trained, and not used are: ${unused.join(", ")}`]
        : []),
      ...(isGiven("testSize") && (evalStrategy ?? rules.defaults.evalStrategy) === "no"
        ? [`testSize ${all.testSize}: the rows held out are neither trained on nor evaluated; set evalStrategy`]
        : []),
      ...unread.map(
        (name) => `${name} ${JSON.stringify(all[name])} has no effect: ${whyUnread(name, mixed, evalData)}`,
      ),
    ],
  };
}

/** Why an option that says which rows are read decides nothing. */
function whyUnread(name: string, mixed: DatasetSpec | null, evalData: ParsedRunInputs["evalData"]): string {
  if (name === "datasetTestSplit")
    return evalData === null ? "nothing is evaluated on a split" : "evalData says which rows are evaluated on";
  return mixed === null ? "data says which rows are trained on" : "datasets say which rows are trained on";
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
  const { localSplit } = await import("@tunesmith/sdk");
  const [first = path, ...others] = await localSplit(path, { name, split });
  return others.length === 0 ? first : [first, ...others];
}

/** Options with those of `model_init_kwargs`, which say how the model is opened. */
export function withModelOptions(all: Record<string, unknown>): Record<string, unknown> {
  const { modelInitKwargs, ...options } = all;
  if (modelInitKwargs === undefined || modelInitKwargs === null) return options;
  if (typeof modelInitKwargs !== "object")
    throw new OptionError(
      `[modelInitKwargs] expected options of the model as JSON, got ${JSON.stringify(modelInitKwargs)}; correct it`,
    );
  const kwargs = Object.entries(modelInitKwargs).map(([name, value]) => [renamed[name] ?? name, value] as const);
  const place = "modelInitKwargs";
  const values = canonicalKeys(Object.fromEntries(kwargs), modelNames, place);
  for (const [name, value] of Object.entries(values)) {
    const others = [options[name], ...kwargs.flatMap(([key, other]) => (canonicalName(key) === name ? [other] : []))];
    const other = others.find((given) => JSON.stringify(given ?? value) !== JSON.stringify(value));
    if (other !== undefined)
      throw new OptionError(
        `[${place}] expected ${name} as it is given besides, ${JSON.stringify(other)}, got ${JSON.stringify(value)}; give it once`,
      );
  }
  return { ...options, ...values };
}

/** `env` of a configuration file: variables of the environment. */
export function setEnvironment(env: unknown): void {
  if (env === undefined || env === null) return;
  for (const [name, value] of Object.entries(env)) process.env[name] = String(value);
}
