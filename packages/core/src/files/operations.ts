// File operations, each with its typed error.
import { createHash } from "node:crypto";
import { createReadStream, type Stats } from "node:fs";
import { lstat, open, readdir, rename, rm, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FileSystemError, TunesmithError } from "../errors.ts";
import { makeFolders } from "./make-folders.ts";

/**
 * Called before every file operation. A test that throws here sees what a crash at that point leaves; where what it throws has a
 * `code`, as errors of the system have, it is what the system refuses at that point.
 */
export const fileOperations: {
  before: ((operation: string, path: string) => void) | null;
  /** In place of the free space that the system tells, in bytes; for tests. */
  free: number | null;
} = { before: null, free: null };

/** Runs one file operation; what the system refuses becomes a `FileSystemError` with the path and the advice given. */
export async function fileOperation<T>(operation: string, path: string, run: () => Promise<T>): Promise<T> {
  try {
    fileOperations.before?.(operation, path);
    return await run();
  } catch (cause) {
    // An error of its own, such as that of a callback that writes the file, says more than this one would.
    if (!isSystemError(cause)) throw cause;
    throw new FileSystemError(
      `[${path}] could not ${operation}: ${(cause as Error).message}; check the path, its rights and the free space`,
      { cause },
    );
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && !TunesmithError.isInstance(error) && "code" in error;
}

/** Whether the system refused a file operation, of a package or of the engine. */
export function isRefused(error: unknown): error is FileSystemError {
  return FileSystemError.isInstance(error) && error.code === "IO";
}

/** Whether a file operation, of a package or of the engine, failed for want of space. */
export function isDiskFull(error: unknown): error is FileSystemError {
  // The engine's errors carry the system's words only: ENOSPC on Unix, error 112 on Windows.
  return isRefused(error) && /ENOSPC|No space left|EDQUOT|quota exceeded|os error 112/iu.test(error.message);
}

/** Bytes that are free for files at a path, there already or not; null where the system does not say. */
export async function freeSpace(path: string): Promise<number | null> {
  if (fileOperations.free !== null) return fileOperations.free;
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    const parent = dirname(path);
    return parent === path ? null : freeSpace(parent);
  }
}

/** Makes a folder and its parents. True when it is new. */
export async function makeFolder(path: string): Promise<boolean> {
  return fileOperation("make the folder", path, () => makeFolders(path));
}

/** Writes a small file. A crash may leave half of it: for use inside a folder that is itself replaced whole. */
export async function writeText(path: string, text: string): Promise<void> {
  await fileOperation("write", path, () => writeFile(path, text));
}

/** Renames a file or folder. */
export async function move(from: string, to: string): Promise<void> {
  await fileOperation("rename", from, () => rename(from, to));
}

/** Removes a file or folder with all it holds; nothing there is no error. */
export async function remove(path: string): Promise<void> {
  await fileOperation("delete", path, () => rm(path, { recursive: true, force: true }));
}

/** Whether there is a file, folder or link of that name. */
export async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) !== null;
}

/** What stands where a file was expected, in words. */
export function kindInWords(stats: Stats): string {
  if (stats.isDirectory()) return "a folder";
  return stats.isSymbolicLink() ? "a symbolic link" : "a special file";
}

/** Entries of a folder, sorted; empty when there is no folder. */
export async function list(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new FileSystemError(
      `[${path}] could not list the folder: ${(error as Error).message}; check the path and its rights`,
      { cause: error },
    );
  }
}

/** Forces a file, or a folder's list of names, to the disk. */
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

/** Size and SHA-256 (hexadecimal) of a regular file. Rejects for a pipe, a device or a folder: it would wait, or not end. */
export async function digestFile(path: string): Promise<{ size: number; sha256: string }> {
  if (!(await stat(path)).isFile())
    throw new FileSystemError(`[${path}] expected a regular file, got something else; remove it`);
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { size, sha256: hash.digest("hex") };
}
