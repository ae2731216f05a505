// Data sets of the hub: the files of one split, downloaded into Hugging Face's cache layout.
import { lstat, readdir, readFile, readlink, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { DownloadError, plural, replaceFile } from "@tunesmith/core";
import { NamedFiles } from "@tunesmith/data";
import { downloadBlobs } from "./blobs.ts";
import { readRef } from "./cached.ts";
import { isWholeBlob } from "./checksum.ts";
import { chosenSplit, type DatasetChoice, type SplitFiles, splitsOf } from "./dataset-files.ts";
import { isCommit, type Listing, parseListing, type RemoteFile } from "./listing.ts";
import { makeCacheFolder } from "./make-cache-folder.ts";
import { HubUnreachableError } from "./request.ts";
import { linkSnapshot } from "./snapshot.ts";
import { addressOf, type DownloadOptions, listAll, type Wanted, wantedRepo } from "./wanted.ts";

/** Options of {@link loadDataset}. */
export interface DatasetOptions extends DownloadOptions {
  /** Configuration (subset). Default: the only one, else `default`. */
  name?: string | undefined;
  /** Default `train`. */
  split?: string | undefined;
}

/** Where the hub keeps every public data set as Parquet. */
const convertedRevision = "refs/convert/parquet";

/**
 * The files of one split of a data set of the Hugging Face Hub, downloaded where they are not yet in the cache (datasets' load_dataset):
 * the repository's own files of rows, as its README declares them or by their names; where it has none, those the hub has converted to
 * Parquet. What the hub cannot be asked for is taken from the cache.
 *
 * @param repo `ORG/NAME`
 */
export async function loadDataset(repo: string, options: DatasetOptions = {}): Promise<NamedFiles> {
  const choice: DatasetChoice = { name: options.name ?? null, split: options.split ?? null };
  const wanted = wantedRepo("datasets", repo, options);
  const own = await opened(wanted, options);
  if (own.splits.length > 0 || options.revision !== undefined) return fetched(own, choice, options);
  return fetched(await opened({ ...wanted, revision: convertedRevision }, options), choice, options);
}

/** A data set at a commit. */
interface Opened {
  wanted: Wanted;
  listing: Listing;
  splits: SplitFiles[];
  isCached: boolean;
}

async function opened(wanted: Wanted, options: DatasetOptions): Promise<Opened> {
  const { listing, isCached } = await listingOf(wanted, options);
  const readme = listing.files.find(({ path }) => path === "README.md");
  const text = readme === undefined ? null : await readReadme(wanted, listing, readme, isCached, options);
  return { wanted, listing, splits: splitsOf(listing.files, text), isCached };
}

async function fetched({ wanted, listing, splits, isCached }: Opened, choice: DatasetChoice, options: DatasetOptions) {
  const { repo, folder } = wanted;
  const { name, split, files } = chosenSplit(splits, choice, repo);
  if (split.startsWith("partial-"))
    throw new DownloadError(
      `[${repo}] expected all rows as Parquet, got a part of them (${split}); download its own files`,
    );
  const { commit } = listing;
  if (isCached) await refuseMissing(wanted, commit, files);
  else {
    const urlOf = (path: string) => addressOf(wanted, commit, path);
    await downloadBlobs(files, join(folder, "blobs"), urlOf, wanted.settings.token, options);
    await linkSnapshot(wanted, { commit, files });
  }
  const paths = files.map(({ path }) => join(folder, "snapshots", commit, ...path.split("/")));
  const called = [repo, ...(name === "default" ? [] : [name]), split].join(" ");
  return new NamedFiles(called, paths, { path: repo, name, split, revision: commit });
}

/** Far above any README; a longer one is not read. */
const readable = 1 << 22;

async function readReadme(
  wanted: Wanted,
  { commit }: Listing,
  file: RemoteFile,
  isCached: boolean,
  options: DatasetOptions,
) {
  if (file.size > readable) return null;
  const blobs = join(wanted.folder, "blobs");
  if (!isCached) {
    // Its progress is none of the data's.
    const quiet = { ...options, onProgress: undefined };
    await downloadBlobs([file], blobs, (path) => addressOf(wanted, commit, path), wanted.settings.token, quiet);
    await linkSnapshot(wanted, { commit, files: [file] });
  }
  return readFile(join(wanted.folder, "snapshots", commit, file.path), "utf8").catch(() => null);
}

/** What the hub lists, which is remembered; where it cannot be asked, what is remembered, or lies in the cache. */
async function listingOf(wanted: Wanted, options: DatasetOptions): Promise<{ listing: Listing; isCached: boolean }> {
  if (wanted.settings.offline) return { listing: await cachedListing(wanted, null), isCached: true };
  try {
    const listing = await listAll(wanted, options);
    await makeCacheFolder(join(wanted.folder, listings));
    await replaceFile(listingPath(wanted, listing.commit), JSON.stringify(asAnswer(listing)));
    return { listing, isCached: false };
  } catch (error) {
    if (!(error instanceof HubUnreachableError)) throw error;
    return { listing: await cachedListing(wanted, error), isCached: true };
  }
}

const listings = "tunesmith-listings";

function listingPath({ folder }: Wanted, commit: string): string {
  return join(folder, listings, `${commit}.json`);
}

/** A listing as the hub would give it. */
function asAnswer({ commit, files }: Listing): object {
  const siblings = files.map(({ path, size, digest }) =>
    digest.length === 40
      ? { rfilename: path, size, blobId: digest }
      : { rfilename: path, size, blobId: "0".repeat(40), lfs: { sha256: digest, size } },
  );
  return { sha: commit, siblings };
}

async function cachedListing(wanted: Wanted, reason: HubUnreachableError | null): Promise<Listing> {
  const { folder, repo, revision } = wanted;
  const commit = isCommit(revision) ? revision : await readRef(join(folder, "refs", revision), repo);
  if (commit !== null) {
    const text = await readFile(listingPath(wanted, commit), "utf8").catch(() => null);
    if (text !== null) return parseListing(repo, text);
    const files = await snapshotFiles(join(folder, "snapshots", commit));
    if (files.length > 0) return { commit, files };
  }
  throw (
    reason ??
    new DownloadError(
      `[${repo}] expected revision "${revision}" in the cache, got none; go online once, or give the path of local files`,
    )
  );
}

/** The files that another program has put into the cache. */
async function snapshotFiles(folder: string): Promise<RemoteFile[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const files: RemoteFile[] = [];
  for (const name of names.sort()) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => null);
    if (found?.isFile() !== true) continue;
    files.push({
      path: name.split(/[\\/]/u).join("/"),
      size: found.size,
      digest: basename(await readlink(path).catch(() => "")),
    });
  }
  return files;
}

/** Without the network every file must be there, with the bytes that its name promises. */
async function refuseMissing({ folder, repo }: Wanted, commit: string, files: readonly RemoteFile[]): Promise<void> {
  const missing: string[] = [];
  for (const { path, digest } of files) {
    const place = join(folder, "snapshots", commit, ...path.split("/"));
    const isBlob = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/u.test(digest);
    const isLink = (await lstat(place).catch(() => null))?.isSymbolicLink() === true;
    const isThere = (await stat(place).catch(() => null)) !== null;
    if (!isThere || (isBlob && isLink && !(await isWholeBlob(join(folder, "blobs", digest), digest))))
      missing.push(path);
  }
  if (missing.length === 0) return;
  const [first] = missing;
  throw new DownloadError(
    `[${repo}] expected ${plural(files.length, "file")} in the cache, got ${plural(missing.length, "file")} less, such as ${first}; go online once`,
  );
}
