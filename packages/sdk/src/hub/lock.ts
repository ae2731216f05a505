// A lock file that one process holds at a time.
import { readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

/** A holder refreshes its lock this often, in milliseconds; a lock untouched for six times as long has no holder. */
const heartbeat = 5_000;

/** Runs `work` while this process alone holds the lock file. Locks of processes that have ended are taken over. */
export async function withLock<T>(path: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const owner = `${hostname()} ${process.pid}`;
  while (!(await create(path, owner))) {
    signal?.throwIfAborted();
    if (await isAbandoned(path)) await rm(path, { force: true });
    else await sleep(100);
  }
  const beat = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), heartbeat);
  beat.unref();
  try {
    return await work();
  } finally {
    clearInterval(beat);
    await rm(path, { force: true });
  }
}

async function create(path: string, owner: string): Promise<boolean> {
  try {
    await writeFile(path, owner, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs > 6 * heartbeat) return true;
    const [host, pid] = (await readFile(path, "utf8")).split(" ");
    // This process may wait for itself: two downloads of one file.
    return host === hostname() && Number(pid) !== process.pid && !isRunning(Number(pid));
  } catch {
    // Gone in the meantime.
    return false;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
