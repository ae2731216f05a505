// A model of the hub without its weights: configuration, index, and what the headers of the weight files say.
import { copyFile, mkdtemp, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DownloadError, fileOperation, makeFolder } from "@tunesmith/core";
import { downloadBlobs } from "./blobs.ts";
import type { Listing, RemoteFile } from "./listing.ts";
import { get, readStart } from "./request.ts";
import { fetchSnapshot, listingOrCached } from "./snapshot.ts";
import { defaultPatience } from "./transfer.ts";
import { addressOf, type DownloadOptions, type Wanted, wantedRepo } from "./wanted.ts";

/** Files that say what a model is. */
const described = ["config.json", "generation_config.json", "model.safetensors.index.json"];

/** Most headers are shorter: one request for each. */
const usual = 1 << 17;

/** The limit of the safetensors library, in bytes. */
const largest = 100_000_000;

/** Stands in for the tokenizer, which no question about memory needs. */
const tokenizer = { version: "1.0", model: { type: "BPE", vocab: { a: 0 }, merges: [] } };

/**
 * Gives `use` the folder of a model in which every weight is 0: its configuration is the hub's, and its tensors have the names, types and
 * shapes that the hub's have. Of the weights only headers are fetched, and the zeros take no space. Where all of the model is in the cache
 * it is the model itself, and so it is where it is stored quantised, which headers do not describe.
 */
export async function withModelHeaders<T>(
  repo: string,
  options: DownloadOptions,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const model = wantedRepo("models", repo, options);
  const listing = await listingOrCached(model, options);
  if ("path" in listing) return use(listing.path);
  const blobs = join(model.folder, "blobs");
  const weights = listing.files.filter(({ path }) => path.endsWith(".safetensors"));
  const sizes = await Promise.all(weights.map(({ digest }) => stat(join(blobs, digest)).catch(() => null)));
  if (weights.every(({ size }, index) => sizes[index]?.size === size))
    return use((await fetchSnapshot(repo, options)).path);
  const small = listing.files.filter(({ path }) => described.includes(path));
  const urlOf = (path: string) => addressOf(model, listing.commit, path);
  await downloadBlobs(small, blobs, urlOf, model.settings.token, options);
  const root = await mkdtemp(join(tmpdir(), "tunesmith-headers-"));
  try {
    // By its place the model is known by its name.
    const folder = join(root, `models--${repo.replace("/", "--")}`, "snapshots", listing.commit);
    await makeFolder(folder);
    for (const { path, digest } of small) await copyFile(join(blobs, digest), join(folder, path));
    if (await isQuantised(small, blobs)) return await use((await fetchSnapshot(repo, options)).path);
    await writeFile(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
    for (const file of weights) await fetchHeader(model, listing, file, join(folder, file.path), options);
    return await use(folder);
  } finally {
    // Windows keeps files that are mapped.
    await rm(root, { recursive: true, force: true }).catch(() => {});
  }
}

/** Whether the configuration says that the weights are stored quantised. */
async function isQuantised(files: readonly RemoteFile[], blobs: string): Promise<boolean> {
  const config = files.find(({ path }) => path === "config.json");
  if (config === undefined) return false;
  return (await readFile(join(blobs, config.digest), "utf8")).includes('"quantization_config"');
}

/** Writes a weight file of the right size that holds its header and nothing else. */
async function fetchHeader(
  model: Wanted,
  { commit }: Listing,
  { path, size }: RemoteFile,
  target: string,
  options: DownloadOptions,
): Promise<void> {
  const url = addressOf(model, commit, path);
  const ask = (from: number, to: number) => fetchRange(url, path, from, to, model.settings.token, options);
  const start = await ask(0, Math.min(size, usual));
  const length = start.length < 8 ? Number.NaN : Number(start.readBigUInt64LE());
  if (!(length <= largest && length + 8 <= size))
    throw new DownloadError(`[${path}] expected the header of a safetensors file, got something else; check the model`);
  const end = 8 + length;
  const rest = end > start.length ? await ask(start.length, end) : Buffer.alloc(0);
  await fileOperation("write", target, async () => {
    const file = await open(target, "w");
    try {
      await file.writeFile(Buffer.concat([start.subarray(0, end), rest]));
      await file.truncate(size);
    } finally {
      await file.close();
    }
  });
}

/** The bytes of a file from one place up to another; a server that knows no ranges is stopped there. */
async function fetchRange(
  url: string,
  path: string,
  from: number,
  to: number,
  token: string | null,
  { signal, patience }: DownloadOptions,
): Promise<Buffer> {
  const { stall: timeout } = patience ?? defaultPatience;
  const response = await get({ url, headers: { range: `bytes=${from}-${to - 1}` }, token, timeout, signal });
  const isRange = response.headers.get("content-range")?.startsWith(`bytes ${from}-`) === true;
  if (response.status !== 200 && !(response.status === 206 && isRange)) {
    await response.body?.cancel();
    throw new DownloadError(
      `[${path}] expected bytes ${from} to ${to}, got HTTP ${response.status}; check access to the model`,
    );
  }
  const skipped = response.status === 200 ? from : 0;
  const bytes = (await readStart(response, path, { bytes: skipped + to - from, timeout: 3 * timeout })).subarray(
    skipped,
  );
  if (bytes.length === to - from) return bytes;
  throw new DownloadError(`[${path}] expected bytes ${from} to ${to}, got ${bytes.length} bytes; try again`);
}
