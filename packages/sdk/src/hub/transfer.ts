// Downloads one file: resumed where it broke off, checked against its checksum.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rm, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { AbortError, DownloadError, FileSystemError, placeFile } from "@tunesmith/core";
import type { RemoteFile } from "./listing.ts";
import { get, HubUnreachableError } from "./request.ts";

/** How patient a transfer is. */
export interface Patience {
  /** Milliseconds without a byte after which a connection is given up. */
  stall: number;
  /** Milliseconds before the second attempt; doubled for each further one. */
  retry: number;
}

/** Attempts that in a row bring no new byte. */
const maxAttempts = 5;

/** What one transfer needs. */
export interface Transfer {
  url: string;
  file: RemoteFile;
  /** Where the file goes. Until it is complete and verified it is called `TARGET.tunesmith-partial`. */
  target: string;
  token: string | null;
  patience: Patience;
  signal?: AbortSignal | undefined;
  /** Bytes of the file that are on the disk, after each chunk. */
  onBytes: (loaded: number) => void;
}

/** A failure after which the next attempt may succeed. */
class Interrupted extends Error {
  /** How much of the patience it costs: a whole file of wrong bytes is fetched once more, not four times. */
  readonly weight: number;
  constructor(message: string, options: { cause?: unknown; weight?: number } = {}) {
    super(message, { cause: options.cause });
    this.weight = options.weight ?? 1;
  }
}

/**
 * Downloads one file: goes on where an earlier attempt or process stopped, and gives it its name only when size and checksum are
 * those of the listing.
 */
export async function transfer(job: Transfer): Promise<void> {
  const partial = `${job.target}.tunesmith-partial`;
  let failures = 0;
  let most = await sizeOf(partial);
  for (;;) {
    try {
      await fetchRest(job, partial, await sizeOf(partial));
      await verify(job.file, partial);
      await placeFile(partial, job.target);
      return;
    } catch (error) {
      if (job.signal?.aborted)
        throw new AbortError("[download] stopped on request; the part that has arrived is kept", { cause: error });
      if (!(error instanceof Interrupted || error instanceof HubUnreachableError)) throw error;
      const loaded = await sizeOf(partial);
      failures = (loaded > most ? 0 : failures) + (error instanceof Interrupted ? error.weight : 1);
      most = Math.max(most, loaded);
      if (failures >= maxAttempts) {
        throw new DownloadError(
          `[${job.file.path}] expected ${job.file.size} bytes, got ${error.message} again and again; try later, the part that is good is kept`,
          { cause: error },
        );
      }
      // An abort ends the pause; the next request then reports it.
      await sleep(job.patience.retry * 2 ** (failures - 1), undefined, { signal: job.signal }).catch(() => {});
    }
  }
}

/** Appends what is missing. A server that ignores Range sends everything, so the file then starts from scratch. */
async function fetchRest(
  { url, file, token, patience, signal, onBytes }: Transfer,
  partial: string,
  have: number,
): Promise<void> {
  if (have === file.size) return;
  const headers: Record<string, string> = have > 0 && have < file.size ? { range: `bytes=${have}-` } : {};
  const stop = new AbortController();
  const signals = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const response = await get({ url, headers, token, timeout: patience.stall, signal: signals });
  if (response.status !== 200 && response.status !== 206) {
    stop.abort();
    if (response.status === 416) await rm(partial, { force: true });
    const passing = response.status === 416 || response.status === 429 || response.status >= 500;
    if (passing) throw new Interrupted(`HTTP ${response.status}`);
    throw new DownloadError(`[${file.path}] expected a file, got HTTP ${response.status}; check access to the model`);
  }
  const continued =
    response.status === 206 && response.headers.get("content-range")?.startsWith(`bytes ${have}-`) === true;
  if (response.status === 206 && !continued) {
    stop.abort();
    await rm(partial, { force: true });
    throw new Interrupted("another range than asked for");
  }
  await append(response, {
    partial,
    start: continued ? have : 0,
    size: file.size,
    stall: patience.stall,
    stop,
    onBytes,
  });
}

interface Appending {
  partial: string;
  start: number;
  size: number;
  stall: number;
  stop: AbortController;
  onBytes: (loaded: number) => void;
}

async function append(response: Response, { partial, start, size, stall, stop, onBytes }: Appending): Promise<void> {
  const out = await openPartial(partial, start > 0 ? "a" : "w");
  let loaded = start;
  let timer = setTimeout(() => stop.abort(), stall);
  try {
    for await (const chunk of response.body ?? []) {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), stall);
      loaded += chunk.length;
      if (loaded > size) {
        await rm(partial, { force: true });
        throw new Interrupted(`more than ${size} bytes`);
      }
      await out.writeFile(chunk);
      onBytes(loaded);
    }
  } catch (cause) {
    if (cause instanceof Interrupted || (cause as NodeJS.ErrnoException).code === "ENOSPC") throw cause;
    throw new Interrupted(stop.signal.aborted ? `no byte for ${stall / 1000} s` : "a broken connection", { cause });
  } finally {
    clearTimeout(timer);
    stop.abort();
    await out.close();
  }
  if (loaded < size) throw new Interrupted(`only ${loaded}`);
}

async function openPartial(path: string, flag: "a" | "w") {
  try {
    return await open(path, flag);
  } catch (cause) {
    throw new FileSystemError(
      `[${path}] expected a writable cache folder, got ${(cause as Error).message}; set HF_HOME`,
      { cause },
    );
  }
}

/** Compares the checksum with the listing's: SHA-256 of the bytes, or git's SHA-1 of a header and the bytes. */
async function verify(file: RemoteFile, path: string): Promise<void> {
  const isGit = file.digest.length === 40;
  const hash = createHash(isGit ? "sha1" : "sha256");
  if (isGit) hash.update(`blob ${file.size}\0`);
  if (file.size > 0) for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  else await (await openPartial(path, "w")).close();
  if (hash.digest("hex") === file.digest) return;
  await rm(path, { force: true });
  throw new Interrupted("bytes with another checksum", { weight: 3 });
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0;
}
