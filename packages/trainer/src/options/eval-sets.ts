// Evaluation sets: one, or several by name.
import { OptionError } from "@tunesmith/core";
import { type DatasetSource, isDatasetSource } from "@tunesmith/data";
import { parseDataset } from "./inputs.ts";

/** Held-out rows: one set, or several by name, each with metrics of its own such as `eval_NAME_loss`. */
export type EvalDatasets = DatasetSource | Readonly<Record<string, DatasetSource>>;

/** An evaluation set; its name is null where it is the only one. */
export interface EvalSet {
  name: string | null;
  source: DatasetSource;
}

/** One set, or sets by name, checked. What is neither is an `OptionError`. */
export function parseEvalDatasets(given: EvalDatasets): EvalDatasets {
  if (isDatasetSource(given) || !isRecord(given)) return parseDataset("evalDataset", given as DatasetSource);
  const sets = Object.entries(given);
  for (const [name] of sets)
    if (!/^[\w.-]+$/u.test(name))
      throw new OptionError(
        `[evalDataset] expected names of letters, digits, "_", "." and "-", got ${JSON.stringify(name)}; rename it`,
      );
  return Object.fromEntries(sets.map(([name, source]) => [name, parseDataset(`evalDataset.${name}`, source)]));
}

/** The evaluation sets in their order; none for null. */
export function evalSetsOf(given: EvalDatasets | null): EvalSet[] {
  if (given === null) return [];
  if (isDatasetSource(given)) return [{ name: null, source: given }];
  return Object.entries(given).map(([name, source]) => ({ name, source }));
}

function isRecord(given: unknown): given is Readonly<Record<string, DatasetSource>> {
  const isPlain =
    typeof given === "object" && given !== null && [Object.prototype, null].includes(Object.getPrototypeOf(given));
  return isPlain && Object.keys(given).length > 0;
}
