// A model that is in the cache as a whole, found without the network.
import { lstat, readFile, readlink, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { DownloadError, list } from "@tunesmith/core";
import * as z from "zod";
import { isWholeBlob } from "./checksum.ts";
import { isCommit, isInnerPath } from "./listing.ts";

/** A model of the hub on this machine. */
export interface Snapshot {
  /** Folder of its files. */
  path: string;
  /** Full commit id. */
  commit: string;
}

/** What was looked for and not found. */
export interface Missing {
  missing: string[];
}

/**
 * Looks for a revision in a model's folder of the cache. Files that are not what their name says, and a `refs` that names no commit, are
 * a `DownloadError`: neither is followed.
 */
export async function findCached(folder: string, repo: string, revision: string): Promise<Snapshot | Missing> {
  const commit = isCommit(revision) ? revision : await readRef(join(folder, "refs", revision), repo);
  if (commit === null) return { missing: ["config.json", "model.safetensors"] };
  const path = join(folder, "snapshots", commit);
  const isFolder = (await lstat(path).catch(() => null))?.isDirectory() === true;
  const missing = isFolder ? await missingFiles(path, repo) : ["config.json", "model.safetensors"];
  if (missing.length > 0) return { missing };
  for (const name of await list(path)) await refuseDamaged(join(path, name), join(folder, "blobs"), repo);
  return { path, commit };
}

/** The commit that a branch or tag had when it was downloaded; null where it was not. */
export async function readRef(path: string, repo: string): Promise<string | null> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return null;
  const commit = found.isFile() && found.size < 100 ? (await readFile(path, "utf8")).trim() : "";
  if (isCommit(commit)) return commit;
  throw new DownloadError(
    `[${repo}] expected a commit in ${path}, got something else; delete that file and go online once`,
  );
}

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string().refine(isInnerPath, "a path")) });

async function missingFiles(snapshot: string, repo: string): Promise<string[]> {
  const index = join(snapshot, "model.safetensors.index.json");
  const text = await readFile(index, "utf8").catch(() => null);
  const weights = text === null ? ["model.safetensors"] : shardsOf(text, index, repo);
  const required = ["config.json", ...weights];
  const present = await Promise.all(required.map((name) => stat(join(snapshot, name)).catch(() => null)));
  return required.filter((_, i) => present[i] === null);
}

function shardsOf(text: string, path: string, repo: string): string[] {
  try {
    return [...new Set(Object.values(indexSchema.parse(JSON.parse(text)).weight_map))];
  } catch (cause) {
    throw new DownloadError(`[${repo}] expected an index of shards in ${path}, got something else; go online once`, {
      cause,
    });
  }
}

/** Checks a file that is a link into the folder of blobs; what others have put there is theirs. */
async function refuseDamaged(path: string, blobs: string, repo: string): Promise<void> {
  const link = await readlink(path).catch(() => null);
  if (link === null) return;
  const blob = resolve(dirname(path), link);
  const digest = relative(blobs, blob);
  if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/u.test(digest) || (await isWholeBlob(blob, digest))) return;
  throw new DownloadError(
    `[${repo}] expected ${basename(path)} in the cache as the hub has it, got other bytes; go online once, when it is fetched again`,
  );
}
