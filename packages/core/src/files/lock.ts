// A lock file that one process holds at a time, and one user of it within a process.
import { link, open, readFile, rename, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { LockedError } from "../errors.ts";
import { type FoundLock, findLock, heartbeat, held, type LockRecord, newRecord } from "./lock-holder.ts";
import { fileOperation } from "./operations.ts";
import { temporaryName } from "./replace.ts";

/** How a lock is waited for. */
export interface LockWait {
  /** Ends the wait with its reason. */
  signal?: AbortSignal | undefined;
  /** Told once who holds the lock, where it is not free at once. */
  onWait?: ((message: string) => void) | undefined;
}

/**
 * A lock file that one process holds at a time, and one user of it within a process. It names process id, host, and the start of host
 * and process, so that the lock of a process that has ended, before a restart of the host too, is taken over at once; that of another
 * host once it has not been touched for a minute. Of many that take over one lock exactly one gets it.
 */
export class FileLock {
  readonly path: string;
  readonly #token: string;
  readonly #beat: NodeJS.Timeout;

  private constructor(path: string, token: string) {
    this.path = path;
    this.#token = token;
    this.#beat = setInterval(() => void this.#touch().catch(() => {}), heartbeat);
    this.#beat.unref();
  }

  /**
   * Takes the lock, or rejects at once with a `LockedError` that names who holds it. What is no lock file in its place, such as a folder,
   * is a `FileSystemError`.
   *
   * @param path the lock file; its folder must be there
   * @param subject what is locked, for the message
   */
  static async take(path: string, subject: string): Promise<FileLock> {
    return fileOperation("lock", path, async () => {
      const own = newRecord();
      // What others find while this is being taken is at work.
      held.add(own.token);
      try {
        const other = await acquire(path, own);
        if (other === null) return new FileLock(path, own.token);
        throw new LockedError(describe(path, subject, other));
      } catch (error) {
        held.delete(own.token);
        throw error;
      }
    });
  }

  /** Takes the lock as soon as it is free. */
  static async wait(path: string, subject: string, { signal, onWait }: LockWait = {}): Promise<FileLock> {
    for (let told = false; ; told = true) {
      signal?.throwIfAborted();
      try {
        return await FileLock.take(path, subject);
      } catch (error) {
        if (!LockedError.isInstance(error) || error.code !== "LOCKED") throw error;
        if (!told) onWait?.(error.message);
      }
      await sleep(100);
    }
  }

  /** Whether the lock is still this one's: a process that was halted for long may have lost it to another host. */
  async isHeld(): Promise<boolean> {
    const text = await readFile(this.path, "utf8").catch(() => "");
    return text.includes(`"${this.#token}"`);
  }

  /** Gives the lock back. One that can no longer be removed counts as free all the same. */
  async release(): Promise<void> {
    clearInterval(this.#beat);
    const mine = await this.isHeld();
    held.delete(this.#token);
    if (mine) await fileOperation("unlock", this.path, () => unlink(this.path)).catch(() => {});
  }

  async #touch(): Promise<void> {
    if (await this.isHeld()) await utimes(this.path, new Date(), new Date());
  }
}

/** Tries of one taking: each fails only where another process was faster. */
const tries = 40;

/** Puts a lock in place; where that of another is there, gives that one. */
async function acquire(path: string, own: LockRecord): Promise<FoundLock | null> {
  const staged = temporaryName(path);
  let other: FoundLock | null = null;
  try {
    for (let n = 0; n < tries; n += 1) {
      const now = await stage(staged, own);
      if (await place(staged, path, own)) return null;
      other = await findLock(path, now);
      if (other === null) continue;
      if (other.atWork) return other;
      if (await takeOver(staged, path, other, own)) return null;
      await sleep(n);
    }
    return other;
  } finally {
    await unlink(staged).catch(() => {});
  }
}

/** Writes the record under a name of its own, forced to the disk: no lock is ever seen without its words. Gives the file system's time. */
async function stage(staged: string, own: LockRecord): Promise<number> {
  const handle = await open(staged, "w");
  try {
    await handle.writeFile(`${JSON.stringify(own)}\n`);
    await handle.sync();
    return (await handle.stat()).mtimeMs;
  } finally {
    await handle.close();
  }
}

/** Gives the record the lock's name if no file has it. */
async function place(staged: string, path: string, own: LockRecord): Promise<boolean> {
  try {
    await link(staged, path);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    // The lock's holder may have cleaned its folder.
    if (code === "EEXIST" || (code === "ENOENT" && !(await isThere(staged)))) return false;
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(code)) throw error;
  }
  // A file system without links.
  try {
    await writeFile(path, `${JSON.stringify(own)}\n`, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/**
 * Puts the staged record in the place of a lock whose holder has ended. Only who holds a second lock, named after that one and no
 * other, may do so: whoever comes later finds that the first has changed. A second lock whose holder has ended is taken over likewise.
 */
async function takeOver(staged: string, path: string, ended: FoundLock, own: LockRecord): Promise<boolean> {
  const guard = `${path}.${ended.token}`;
  if ((await acquire(guard, own)) !== null) return false;
  try {
    const now = await findLock(path, Date.now());
    if (now?.token !== ended.token) return false;
    await rename(staged, path);
    return true;
  } finally {
    await unlink(guard).catch(() => {});
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}

function describe(path: string, subject: string, { record }: FoundLock): string {
  const expected = `[${subject}] expected nothing else at work here`;
  if (record === null)
    return `${expected}, got a lock that cannot be read: ${path}; try again in ${heartbeat / 1000} seconds, when it is taken over`;
  const { pid, host, since } = record;
  const itself = pid === process.pid && host === hostname() ? " (this process itself)" : "";
  return `${expected}, got process ${pid} on ${host}${itself}, at work since ${since}; wait until it has ended, or stop it`;
}
