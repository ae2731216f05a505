// Downloads a model of the hub into Hugging Face's cache layout.
import { copyFile, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { DownloadError, replaceFile } from "@tunesmith/core";
import { downloadBlobs } from "./blobs.ts";
import { findCached, type Snapshot } from "./cached.ts";
import type { Listing } from "./listing.ts";
import { makeCacheFolder } from "./make-cache-folder.ts";
import { HubUnreachableError } from "./request.ts";
import { addressOf, type DownloadOptions, listWanted, type Wanted, wantedRepo } from "./wanted.ts";

/**
 * The folder of a model of the Hugging Face Hub, downloaded if it is not yet there. When the hub cannot be reached, a complete copy
 * in the cache serves. What is in the cache already is compared with its checksum once.
 *
 * @param repo `ORG/NAME`
 */
export async function downloadModel(repo: string, options: DownloadOptions = {}): Promise<string> {
  return (await fetchSnapshot(repo, options)).path;
}

/** The same, with the commit. */
export async function fetchSnapshot(repo: string, options: DownloadOptions): Promise<Snapshot> {
  const model = wantedRepo("models", repo, options);
  const listing = await listingOrCached(model, options);
  if ("path" in listing) return listing;
  const { commit, files } = listing;
  const { folder, settings } = model;
  const urlOf = (path: string) => addressOf(model, commit, path);
  await downloadBlobs(files, join(folder, "blobs"), urlOf, settings.token, options);
  return { path: await linkSnapshot(model, listing), commit };
}

/** What the hub lists; where it cannot be asked, the model as it is in the cache. */
export async function listingOrCached(model: Wanted, options: DownloadOptions): Promise<Listing | Snapshot> {
  if (model.settings.offline) return cachedSnapshot(model, null);
  try {
    return await listWanted(model, options);
  } catch (error) {
    if (!(error instanceof HubUnreachableError)) throw error;
    return cachedSnapshot(model, error);
  }
}

/** Names the files by links, then the commit by its branch: a snapshot that a branch points to is complete. */
export async function linkSnapshot({ folder, revision }: Wanted, { commit, files }: Listing): Promise<string> {
  const snapshot = join(folder, "snapshots", commit);
  for (const { path, digest } of files) {
    const link = join(snapshot, path);
    const blob = join(folder, "blobs", digest);
    await makeCacheFolder(dirname(link));
    // Windows allows links to administrators only.
    await replaceFile(link, (name) => symlink(relative(dirname(link), blob), name).catch(() => copyFile(blob, name)));
  }
  if (revision !== commit) {
    const ref = join(folder, "refs", revision);
    await makeCacheFolder(dirname(ref));
    await replaceFile(ref, commit);
  }
  return snapshot;
}

/** The model as it is in the cache; without it `reason` is thrown, or that it is not there. */
async function cachedSnapshot(
  { folder, repo, revision }: Wanted,
  reason: HubUnreachableError | null,
): Promise<Snapshot> {
  const found = await findCached(folder, repo, revision);
  if ("path" in found) return found;
  if (reason !== null) throw reason;
  throw new DownloadError(
    `[${repo}] expected revision "${revision}" in the cache, got a copy without ${found.missing.join(", ")}; go online once, or give the path of a local model`,
  );
}
