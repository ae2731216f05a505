// The files of a model in the cache, each by the name of its checksum.
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { AbortError, FileLock, warnProcess } from "@tunesmith/core";
import { isWholeBlob, rememberBlob } from "./checksum.ts";
import type { RemoteFile } from "./listing.ts";
import { makeCacheFolder } from "./make-cache-folder.ts";
import { defaultPatience, type Patience, type Transfer, transfer } from "./transfer.ts";

/** How far a download is, over all files of the model. */
export interface DownloadProgress {
  /** File that bytes have just arrived for. */
  file: string;
  loadedBytes: number;
  totalBytes: number;
}

/** What a download does besides. */
export interface DownloadControl {
  /** Stops the download; what has arrived is kept for the next time. */
  signal?: AbortSignal | undefined;
  /** Called with every piece that arrives. Default: none. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Told when another process has been downloading the same file for more than two seconds. Default: `process.emitWarning`. */
  onWait?: ((message: string) => void) | undefined;
  /** Default: 20 s without a byte, 0.5 s before the second attempt. */
  patience?: Patience | undefined;
}

/** Files downloaded at the same time. */
const parallel = 4;

/** Milliseconds of waiting that are not worth a word. */
const silentWait = 2_000;

/**
 * Downloads the files that are not there, and those that are not what their name says.
 *
 * @param blobs their folder
 * @param urlOf the address of a file, by its path
 */
export async function downloadBlobs(
  files: readonly RemoteFile[],
  blobs: string,
  urlOf: (path: string) => string,
  token: string | null,
  { signal, onProgress, onWait = warnProcess, patience = defaultPatience }: DownloadControl,
): Promise<void> {
  await makeCacheFolder(blobs);
  const totalBytes = files.reduce((sum, { size }) => sum + size, 0);
  const loaded = new Map<string, number>();
  const report = (file: string, bytes: number) => {
    loaded.set(file, bytes);
    onProgress?.({ file, loadedBytes: [...loaded.values()].reduce((sum, value) => sum + value, 0), totalBytes });
  };
  // One failure stops the other transfers.
  const stop = new AbortController();
  const stopped = stop.signal;
  const abort = () => stop.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const queue = [...files];
  const work = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const { path, digest, size } = file;
      const onBytes = (bytes: number) => report(path, bytes);
      const job = { url: urlOf(path), file, target: join(blobs, digest), token, patience, signal: stopped, onBytes };
      await fetchBlob(job, onWait);
      report(path, size);
    }
  };
  const results = await Promise.allSettled(
    Array.from({ length: parallel }, () =>
      work().catch((error: unknown) => {
        // The first failure is the reason; the others are stopped by it.
        if (!stop.signal.aborted) stop.abort(error);
        throw error;
      }),
    ),
  );
  signal?.removeEventListener("abort", abort);
  if (signal?.aborted)
    throw new AbortError("[download] stopped on request; the part that has arrived is kept", { cause: signal.reason });
  if (results.some(({ status }) => status === "rejected")) throw stop.signal.reason;
}

/** One file, by one process at a time. */
async function fetchBlob(job: Transfer, onWait: (message: string) => void): Promise<void> {
  const { file, signal, target } = job;
  const lock = await takeLock(`${target}.tunesmith-lock`, file.path, signal, onWait);
  try {
    const isSame = (await stat(target).catch(() => null))?.size === file.size;
    if (isSame && (await isWholeBlob(target, file.digest))) return;
    // Another size or other bytes: no reader shall find them any more.
    await rm(target, { recursive: true, force: true });
    await transfer(job);
    await rememberBlob(target);
  } finally {
    await lock.release();
  }
}

async function takeLock(
  path: string,
  subject: string,
  signal: AbortSignal | undefined,
  onWait: (message: string) => void,
): Promise<FileLock> {
  let timer: NodeJS.Timeout | undefined;
  const later = (message: string) => {
    timer = setTimeout(() => onWait(message), silentWait);
  };
  try {
    return await FileLock.wait(path, subject, { signal, onWait: later });
  } finally {
    clearTimeout(timer);
  }
}
