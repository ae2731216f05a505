// Opens the data sets of a run, with one line of progress where one has to be downloaded.
import { type DatasetSpec, datasetSpecSchema, type EvalDatasetSpec, expandHome } from "@tunesmith/core";
import type { DatasetSource, EvalDatasets } from "@tunesmith/sdk";
import type { Output } from "../view/screen.ts";
import { told } from "./load-model.ts";

/** The data sets of a trainer, by their names in options or a configuration file. */
export async function openDatasets(
  data: DatasetSpec,
  evalData: EvalDatasetSpec | null,
  err: Output,
): Promise<{ trainDataset: DatasetSource; evalDataset: EvalDatasets | null }> {
  const trainDataset = await openDataset(data, err);
  if (evalData === null) return { trainDataset, evalDataset: null };
  const one = datasetSpecSchema.safeParse(evalData);
  if (one.success) return { trainDataset, evalDataset: await openDataset(one.data, err) };
  const sets: Record<string, DatasetSource> = {};
  for (const [name, spec] of Object.entries(evalData)) sets[name] = await openDataset(spec as DatasetSpec, err);
  return { trainDataset, evalDataset: sets };
}

/** One data set, by its name in options or a configuration file. */
export async function openDataset(spec: DatasetSpec, err: Output): Promise<DatasetSource> {
  const { resolveDataset } = await import("@tunesmith/sdk");
  return told("data", err, ({ onProgress, onWait }) => resolveDataset(spec, { onProgress, onWait }));
}

/** Every evaluation set as one. */
export function asOneSet(evalData: EvalDatasetSpec | null): DatasetSpec | null {
  if (evalData === null) return null;
  const one = datasetSpecSchema.safeParse(evalData);
  return one.success ? one.data : ([Object.values(evalData)].flat(2) as DatasetSpec);
}

/** A path that may have been given. */
export function pathIn(given: unknown): string[] {
  return typeof given === "string" ? [expandHome(given)] : [];
}

/** The paths that a data set may be read from. */
export function pathsOf(data: DatasetSpec): string[] {
  return [data].flat().map((entry) => expandHome(typeof entry === "string" ? entry : entry.path));
}
