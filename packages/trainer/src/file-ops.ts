// File operations of a run, each with its typed error.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { FileSystemError } from "@tunesmith/core";
import { makeFolders } from "./make-folders.ts";

/** Prefix of everything in a run folder that is not finished; removed when the run is opened again. */
export const temporaryPrefix = "tmp-";

/** Called before every file operation of a run; a test that throws here sees what a crash at that point leaves behind. */
export const fileOperations: { before: ((operation: string, path: string) => void) | null } = { before: null };

/** Runs one file operation; what the system refuses becomes a `FileSystemError` with the path and the advice given. */
export async function fileOperation<T>(operation: string, path: string, run: () => Promise<T>): Promise<T> {
  fileOperations.before?.(operation, path);
  try {
    return await run();
  } catch (cause) {
    throw new FileSystemError(
      `[${path}] could not ${operation}: ${(cause as Error).message}; check the path, its rights and the free space`,
      { cause },
    );
  }
}

/** Whether a file operation, of this package or of the engine, failed for want of space. */
export function isDiskFull(error: unknown): error is FileSystemError {
  // The engine's errors carry the system's words only: ENOSPC on Unix, error 112 on Windows.
  return (
    FileSystemError.isInstance(error) && error.code === "IO" && /ENOSPC|No space left|os error 112/u.test(error.message)
  );
}

/** Makes a folder and its parents. True when it is new. */
export async function makeFolder(path: string): Promise<boolean> {
  return fileOperation("make the folder", path, () => makeFolders(path));
}

/** Writes a small file whole. */
export async function writeText(path: string, text: string): Promise<void> {
  await fileOperation("write", path, () => writeFile(path, text));
}

/** Replaces a small file in one step: readers see the old or the new one. */
export async function replaceText(path: string, text: string): Promise<void> {
  const temporary = join(dirname(path), `${temporaryPrefix}${basename(path)}`);
  await writeText(temporary, text);
  await syncPath(temporary);
  await move(temporary, path);
}

/** Renames a file or folder. */
export async function move(from: string, to: string): Promise<void> {
  await fileOperation("rename", from, () => rename(from, to));
}

/** Removes a file or folder with all it holds; nothing there is no error. */
export async function remove(path: string): Promise<void> {
  await fileOperation("delete", path, () => rm(path, { recursive: true, force: true }));
}

/** Entries of a folder, sorted; empty when there is no folder. */
export async function list(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new FileSystemError(
      `[${path}] could not list the folder: ${(error as Error).message}; check the path and its rights`,
      {
        cause: error,
      },
    );
  }
}

/** Forces a file or folder to the disk. */
export async function syncPath(path: string): Promise<void> {
  await fileOperation("sync", path, async () => {
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/** Forces every file of a flat folder, then the folder, to the disk. */
export async function syncFolder(path: string): Promise<void> {
  for (const name of await list(path)) await syncPath(join(path, name));
  await syncPath(path);
}

/** Size and SHA-256 (hexadecimal) of a file. */
export async function digestFile(path: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { size, sha256: hash.digest("hex") };
}

/** A file of JSON lines that grows, and that a resumed run cuts back to where its checkpoint left it. */
export class LineFile {
  readonly path: string;
  readonly #handle: FileHandle;
  /** Bytes written. */
  #size: number;

  private constructor(path: string, handle: FileHandle, size: number) {
    this.path = path;
    this.#handle = handle;
    this.#size = size;
  }

  /**
   * Opens or makes the file.
   *
   * @param keep bytes to keep; what lies behind them was written after the checkpoint and will be written again
   */
  static async open(path: string, keep: number): Promise<LineFile> {
    return fileOperation("open", path, async () => {
      const handle = await open(path, "a");
      const kept = Math.min(keep, (await handle.stat()).size);
      await handle.truncate(kept);
      return new LineFile(path, handle, kept);
    });
  }

  get size(): number {
    return this.#size;
  }

  /** Appends one object. Numbers that are not finite become null. */
  async append(value: object): Promise<void> {
    const line = Buffer.from(`${JSON.stringify(value)}\n`);
    await fileOperation("append to", this.path, () => this.#handle.appendFile(line));
    this.#size += line.length;
  }

  /** Forces what was appended to the disk. */
  async sync(): Promise<void> {
    await fileOperation("sync", this.path, () => this.#handle.sync());
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
