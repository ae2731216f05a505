// Opens the data sets of a run, with one line of progress where one has to be downloaded.
import { type DatasetSpec, expandHome } from "@tunesmith/core";
import { type DatasetSource, resolveDataset } from "@tunesmith/sdk";
import type { Output } from "../view/screen.ts";
import { told } from "./load-model.ts";

/** The data sets of a trainer, by their names in options or a configuration file. */
export async function openDatasets(
  data: DatasetSpec,
  evalData: DatasetSpec | null,
  err: Output,
): Promise<{ trainDataset: DatasetSource; evalDataset: DatasetSource | null }> {
  const open = (spec: DatasetSpec) =>
    told("data", err, ({ onProgress, onWait }) => resolveDataset(spec, { onProgress, onWait }));
  return { trainDataset: await open(data), evalDataset: evalData === null ? null : await open(evalData) };
}

/** The paths that a data set may be read from. */
export function pathsOf(data: DatasetSpec): string[] {
  return [data].flat().map((entry) => expandHome(typeof entry === "string" ? entry : entry.path));
}
