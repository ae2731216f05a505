// Where prepared data sets are kept, and for how long.
import { stat, utimes } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expandHome, huggingFaceHome, list, makeFolder, remove } from "@tunesmith/core";

/** Days after which a data set that no run has used is removed. */
const daysKept = 30;

/** The folder in which prepared data sets are kept: beside those of Python's datasets (`HF_DATASETS_CACHE`, `HF_HOME`). */
export function tokenCacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const datasets = env.HF_DATASETS_CACHE || join(huggingFaceHome(env), "datasets");
  return join(resolve(expandHome(datasets)), "tunesmith-tokens");
}

/** Makes the folder, and removes from it what has not been used for a month. */
export async function openCache(folder: string): Promise<void> {
  await makeFolder(folder);
  const oldest = Date.now() - daysKept * 24 * 60 * 60 * 1000;
  for (const name of await list(folder)) {
    const path = join(folder, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (mtimeMs < oldest) await remove(path);
  }
}

/** Notes that a file was used now. A cache that may only be read is used all the same. */
export async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => {});
}
