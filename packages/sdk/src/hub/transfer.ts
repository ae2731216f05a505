// Downloads one file: resumed where it broke off, checked against its checksum.
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import {
  AbortError,
  DownloadError,
  discard,
  FileSystemError,
  fileOperation,
  placeFile,
  retryAfter,
} from "@tunesmith/core";
import { hasDigest } from "./checksum.ts";
import type { RemoteFile } from "./listing.ts";
import { get, HubUnreachableError } from "./request.ts";

/** How patient a transfer is. */
export interface Patience {
  /**
   * Milliseconds without a byte after which a connection is given up; one that brings less than 64 KB in three times as long is given up
   * too. A hub that asks to come back later is waited for as long as this at most, the end of a listing one and a half times as long.
   */
  stall: number;
  /** Milliseconds before the second attempt; doubled for each further one. */
  retry: number;
}

/** What is right for a hub on the other side of the world. */
export const defaultPatience: Patience = { stall: 20_000, retry: 500 };

/** Attempts in a row that bring next to nothing. */
const maxAttempts = 5;

/** Bytes that count as progress, or the end of the file. */
const progress = 1 << 16;

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
  /** Milliseconds that the hub asks to wait. */
  readonly after: number;
  constructor(message: string, options: { cause?: unknown; weight?: number; after?: number } = {}) {
    super(message, { cause: options.cause });
    this.weight = options.weight ?? 1;
    this.after = options.after ?? 0;
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
      const forward = loaded >= most + progress;
      failures = (forward ? 0 : failures) + (error instanceof Interrupted ? error.weight : 1);
      if (forward) most = loaded;
      if (failures >= maxAttempts) {
        throw new DownloadError(
          `[${job.file.path}] expected ${job.file.size} bytes, got ${error.message} again and again; try later, the part that is good is kept`,
          { cause: error },
        );
      }
      const asked = error instanceof Interrupted ? Math.min(error.after, job.patience.stall) : 0;
      // An abort ends the pause; the next request then reports it.
      const pause = Math.max(asked, job.patience.retry * 2 ** (failures - 1));
      await sleep(pause, undefined, { signal: job.signal }).catch(() => {});
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
  const response = await get({ url, headers, token, timeout: patience.stall, signal });
  if (response.status !== 200 && response.status !== 206) {
    discard(response);
    if (response.status === 416) await rm(partial, { force: true });
    const passing = response.status === 416 || response.status === 429 || response.status >= 500;
    if (passing) throw new Interrupted(`HTTP ${response.status}`, { after: retryAfter(response) });
    throw new DownloadError(`[${file.path}] expected a file, got HTTP ${response.status}; check access to the model`);
  }
  const continued =
    response.status === 206 && response.headers.get("content-range")?.startsWith(`bytes ${have}-`) === true;
  if (response.status === 206 && !continued) {
    discard(response);
    await rm(partial, { force: true });
    throw new Interrupted("another range than asked for");
  }
  const start = continued ? have : 0;
  await append(response, { partial, start, size: file.size, stall: patience.stall, signal, onBytes });
}

interface Appending {
  partial: string;
  start: number;
  size: number;
  stall: number;
  signal: AbortSignal | undefined;
  onBytes: (loaded: number) => void;
}

async function append(response: Response, { partial, start, size, stall, signal, onBytes }: Appending): Promise<void> {
  const out = await openPartial(partial, start > 0 ? "a" : "w");
  const watch = new Watch(response, stall, signal);
  let loaded = start;
  try {
    for (let chunk = await watch.next(); chunk !== null; chunk = await watch.next()) {
      loaded += chunk.length;
      if (loaded > size) {
        await rm(partial, { force: true });
        throw new Interrupted(`more than ${size} bytes`);
      }
      const piece = chunk;
      await fileOperation("write", partial, () => out.writeFile(piece));
      onBytes(loaded);
    }
  } catch (cause) {
    if (cause instanceof Interrupted || FileSystemError.isInstance(cause)) throw cause;
    throw new Interrupted("a broken connection", { cause });
  } finally {
    watch.end();
    await out.close();
  }
  if (loaded < size) throw new Interrupted(watch.complaint ?? `only ${loaded}`);
}

/**
 * Reads an answer, and ends it when it brings nothing, or next to nothing, or on request: by its reader, which ends a read that waits.
 * fetch holds the signal of a request weakly, so that an abort may reach nothing once the answer has begun.
 */
class Watch {
  /** Why it was ended. */
  complaint: string | null = null;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #silent: NodeJS.Timeout;
  readonly #slow: NodeJS.Timeout;
  #arrived = 0;

  constructor({ body }: Response, stall: number, signal: AbortSignal | undefined) {
    this.#reader = body?.getReader();
    this.#signal = signal;
    this.#silent = setTimeout(() => this.#stop(`no byte for ${stall / 1000} s`), stall);
    this.#slow = setInterval(() => {
      if (this.#arrived < progress) this.#stop(`only ${this.#arrived} bytes in ${(3 * stall) / 1000} s`);
      this.#arrived = 0;
    }, 3 * stall);
    signal?.addEventListener("abort", this.#abort, { once: true });
    if (signal?.aborted) this.#abort();
  }

  /** The next piece; null at the end, and where it was ended. */
  async next(): Promise<Uint8Array | null> {
    const { done = true, value } = (await this.#reader?.read()) ?? {};
    if (done || value === undefined || this.complaint !== null) return null;
    this.#arrived += value.length;
    this.#silent.refresh();
    return value;
  }

  end(): void {
    clearTimeout(this.#silent);
    clearInterval(this.#slow);
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#reader?.cancel().catch(() => {});
  }

  readonly #abort = () => this.#stop("a request to stop");

  #stop(complaint: string): void {
    this.complaint ??= complaint;
    this.#reader?.cancel().catch(() => {});
  }
}

async function openPartial(path: string, flag: "a" | "w"): Promise<FileHandle> {
  try {
    return await open(path, flag);
  } catch (cause) {
    throw new FileSystemError(
      `[${path}] expected a writable cache folder, got ${(cause as Error).message}; set HF_HOME`,
      { cause },
    );
  }
}

/** Compares the checksum with the listing's. */
async function verify(file: RemoteFile, path: string): Promise<void> {
  if (file.size === 0) await (await openPartial(path, "w")).close();
  if (await hasDigest(path, file.digest)) return;
  await rm(path, { force: true });
  throw new Interrupted("bytes with another checksum", { weight: 3 });
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0;
}
