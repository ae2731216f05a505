// What stands in a lock file: who holds it, and whether that process is still at work.
import { createHash } from "node:crypto";
import { lstat, readFile } from "node:fs/promises";
import * as z from "zod";
import { FileSystemError } from "../errors.ts";
import { kindInWords } from "./operations.ts";
import { isRunning, type ProcessIdentity, thisProcess } from "./process-identity.ts";

/** A holder touches its lock this often, in milliseconds. */
export const heartbeat = 10_000;
/** A lock that was touched longer ago than this, or later than now by as much, says nothing for its holder, in milliseconds. */
const silence = 6 * heartbeat;

const recordSchema = z.object({
  pid: z.int().positive(),
  host: z.string(),
  bootId: z.string().nullable(),
  began: z.string().nullable(),
  /** Unlike that of every other lock, of this process too. */
  token: z.string().regex(/^[0-9a-f]+-\d+$/u),
  since: z.string(),
});

/** What a lock file holds, as JSON. */
export type LockRecord = z.output<typeof recordSchema>;

/** A lock file that was found in place. */
export interface FoundLock {
  /** Of the record, or made of what stands there instead. */
  token: string;
  /** Null where it cannot be read. */
  record: LockRecord | null;
  /** False: it may be taken over. */
  atWork: boolean;
}

/** Locks that this copy of the module holds, by token; the part before the dash is the module's own. */
export const held = new Set<string>();
const instance = createHash("sha256")
  .update(`${process.pid} ${performance.timeOrigin} ${Math.random()}`)
  .digest("hex")
  .slice(0, 12);
let count = 0;

/** A record for a lock of this process. */
export function newRecord(): LockRecord {
  count += 1;
  return { ...thisProcess(), token: `${instance}-${count}`, since: new Date().toISOString() };
}

/**
 * Reads a lock file; null where there is none. Something else in its place, such as a folder, is a `FileSystemError`.
 *
 * @param now time of the file system, in milliseconds: clocks of two hosts differ
 */
export async function findLock(path: string, now: number): Promise<FoundLock | null> {
  try {
    const stats = await lstat(path);
    // Opening a pipe would wait for ever.
    if (!stats.isFile())
      throw new FileSystemError(
        `[${path}] expected a lock file or nothing, got ${kindInWords(stats)}; move it away, or remove it`,
      );
    const text = stats.size > 4096 ? "" : await readFile(path, "utf8");
    const age = Math.abs(now - stats.mtimeMs);
    const record = parse(text);
    // Where the file system has no links a lock is empty for a moment.
    if (record === null) return { token: `unreadable-${digest(text)}`, record, atWork: age < heartbeat };
    return { token: record.token, record, atWork: isAtWork(record, age) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

function isAtWork(record: LockRecord, age: number): boolean {
  const own: ProcessIdentity = thisProcess();
  // What happens on another host cannot be seen from here but by its touch.
  if (record.host !== own.host) return age < silence;
  if (!isRunning(record)) return false;
  if (record.pid !== own.pid) return true;
  if (record.token.startsWith(`${instance}-`)) return held.has(record.token);
  // Another copy of this module in this process, such as a worker's.
  return age < silence;
}

function parse(text: string): LockRecord | null {
  try {
    return recordSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
