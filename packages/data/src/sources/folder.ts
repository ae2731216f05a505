// The files of rows in a folder.
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { DataError, FileSystemError, plural } from "@tunesmith/core";
import { excerpt } from "./excerpt.ts";

/** Names of files of rows. */
const rowFile = /\.(?:jsonl|ndjson|json|csv|tsv|tab)(?:\.gz)?$|\.parquet$/iu;

/**
 * The files that a path stands for: itself, or the files of rows of a folder and its folders, sorted. Others are told to `onIgnored`,
 * but for hidden ones.
 */
export async function filesAt(path: string, onIgnored: (path: string) => void): Promise<string[]> {
  // Whatever else is wrong with it is found when it is opened.
  if ((await stat(path).catch(() => null))?.isDirectory() !== true) return [path];
  const all = await filesOf(path);
  const rows = all.filter((file) => rowFile.test(file));
  if (rows.length === 0) {
    const [first = ""] = all.map((file) => relative(path, file));
    const got = all.length === 0 ? "nothing" : `${plural(all.length, "other file")}, such as ${excerpt(first)}`;
    throw new DataError(
      `[${path}] expected files of rows in the folder (.jsonl, .json, .csv, .tsv, also .gz, or .parquet), got ${got}; name the folder or the files in it`,
    );
  }
  for (const file of all) if (!rowFile.test(file)) onIgnored(file);
  return rows;
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await entriesOf(folder);
  const files: string[] = [];
  for (const { name, ...entry } of entries.map((found) => ({ name: found.name, isFolder: found.isDirectory() }))) {
    if (name.startsWith(".")) continue;
    const path = join(folder, name);
    files.push(...(entry.isFolder ? await filesOf(path) : [path]));
  }
  return files;
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (cause) {
    throw new FileSystemError(`[${folder}] expected a readable folder, got ${(cause as Error).message}; check it`, {
      cause,
    });
  }
}
