// From a data set's name, as a configuration file has it, to its files.
import { stat } from "node:fs/promises";
import { type DatasetSpec, expandHome, OptionError } from "@tunesmith/core";
import { type DatasetEntry, type DatasetSource, mixDatasets } from "@tunesmith/data";
import { type DatasetOptions, loadDataset } from "./hub/dataset.ts";
import { isRepoId } from "./hub/wanted.ts";

/**
 * A data set as a configuration file names it: a file or folder as it is, one of the Hub (`ORG/NAME`) after its download, a list of files,
 * or a mix, where entries have weights. With name, split or revision `ORG/NAME` is of the Hub even where there is a path of that name.
 */
export async function resolveDataset(spec: DatasetSpec, options: DatasetOptions = {}): Promise<DatasetSource> {
  if (!Array.isArray(spec)) return resolveEntry(entryOf(spec), options);
  const entries = spec.map(entryOf);
  if (entries.some(({ weight }) => weight !== undefined)) {
    const mixed = [];
    for (const { weight = 1, ...entry } of entries) mixed.push({ dataset: await resolveEntry(entry, options), weight });
    return mixDatasets(mixed);
  }
  const sources: string[] = [];
  for (const entry of entries) {
    const source = await resolveEntry(entry, options);
    if (typeof source !== "string")
      throw new OptionError(
        `[${entry.path}] expected a weight for each data set of a list with one of the Hub, got none; give each a weight`,
      );
    sources.push(source);
  }
  return sources;
}

function entryOf(entry: string | DatasetEntry): DatasetEntry {
  return typeof entry === "string" ? { path: entry } : entry;
}

async function resolveEntry({ path: given, name, split, revision }: DatasetEntry, options: DatasetOptions) {
  const path = expandHome(given);
  const isOfHub = name !== undefined || split !== undefined || revision !== undefined;
  if (!isOfHub && (!isRepoId(given) || (await stat(path).catch(() => null)) !== null)) return path;
  return loadDataset(given, {
    ...options,
    ...(name && { name }),
    ...(split && { split }),
    ...(revision && { revision }),
  });
}
