// What decides the examples of a data set: equal keys mean equal examples.
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { digestFile, type Tokenizer } from "@tunesmith/core";
import { filesAt } from "../sources/folder.ts";
import { type DatasetSource, nameOf, pathsOf } from "../sources/source.ts";

/** A number to be raised when the same rows become other examples within a version. */
const preparation = 2;

/** A data set that a cache may hold. */
export interface Cacheable {
  /** Hexadecimal. */
  key: string;
  /** Whether the files are still those that the key was made of. */
  isCurrent(): Promise<boolean>;
}

/** What a cache is asked for. */
export interface CacheRequest {
  source: DatasetSource;
  tokenizer: Tokenizer;
  /** Everything else that decides the examples. A function can do anything, so nothing is kept of what one has made. */
  options: Readonly<Record<string, unknown>>;
  /** Bytes from which a data set is kept. */
  minBytes: number;
}

/** The key of a data set in files; null for one that cannot be kept, or is too small to be worth it. */
export async function cacheKey({ source, tokenizer, options, minBytes }: CacheRequest): Promise<Cacheable | null> {
  const paths = pathsOf(source);
  if (paths === null || Object.values(options).some((value) => typeof value === "function")) return null;
  const before = await stateOf(paths);
  if (before === null || before.reduce((sum, { size }) => sum + size, 0) < minBytes) return null;
  const decisive = Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1));
  const digests: unknown[] = [];
  for (const { path } of before) digests.push([path, (await digestFile(path)).sha256]);
  const parts = [preparation, version(), nameOf(source, ""), await tokenizer.fingerprint(), decisive, digests];
  const key = createHash("sha256").update(JSON.stringify(parts)).digest("hex");
  return { key, isCurrent: async () => JSON.stringify(await stateOf(paths)) === JSON.stringify(before) };
}

/** Another version may read, render or label the same rows in another way. */
function version(): string {
  return (createRequire(import.meta.url)("#package.json") as { version: string }).version;
}

interface FileState {
  path: string;
  size: number;
  changed: number;
}

/** The files of paths as they are now; null where one cannot be read as a file, which reading it will say better. */
async function stateOf(paths: readonly string[]): Promise<FileState[] | null> {
  const states: FileState[] = [];
  try {
    for (const place of paths) {
      for (const path of await filesAt(place, () => {})) {
        const found = await stat(path);
        if (!found.isFile()) return null;
        states.push({ path, size: found.size, changed: found.mtimeMs });
      }
    }
  } catch {
    return null;
  }
  return states;
}
