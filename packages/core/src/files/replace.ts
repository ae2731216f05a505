// Files and folders that appear whole or not at all: written next to their place, synced, renamed.
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { exists, fileOperation, list, makeFolder, move, remove, syncFolder, syncPath } from "./operations.ts";
import { isRunning, thisProcess } from "./process-identity.ts";

/** Prefix of what is being written; nothing that is read has it. The name ends with host, process and a random number. */
const newPrefix = ".tmp-new-";
const newName = /^\.tmp-new-.*-(?<host>[\da-f]{8})-(?<pid>\d+)-[\da-f]{8}$/u;
/** Prefix of what was moved aside to make room, followed by the name it had. */
const oldPrefix = ".tmp-old-";

/**
 * Replaces a folder in one piece, or makes it: a failure leaves the old folder in place. The new one is written under a temporary
 * name next to its place and forced to the disk; only then is the old one moved aside, the new one renamed, and the old one
 * removed. A process killed between those two renames leaves both folders, and {@link recoverFolder} puts the old one back.
 *
 * @param target the folder's place; its parents are made where absent, and whatever is there is replaced
 * @param fill writes the files into the empty folder it is given (no folders within)
 */
export async function replaceFolder(target: string, fill: (folder: string) => Promise<void>): Promise<void> {
  await recoverFolder(target);
  const aside = asideName(target);
  await withStaged(target, async (staged) => {
    await fill(staged);
    await syncFolder(staged);
    const hadOld = await exists(target);
    if (hadOld) await move(target, aside);
    try {
      await move(staged, target);
    } catch (error) {
      if (hadOld) await move(aside, target);
      throw error;
    }
  });
  await syncPath(dirname(target));
  await remove(aside);
}

/** Gives `work` an empty folder next to the target, and removes it where the work fails. */
async function withStaged<T>(target: string, work: (staged: string) => Promise<T>): Promise<T> {
  const staged = temporaryName(target);
  active.add(basename(staged));
  try {
    await makeFolder(staged);
    return await work(staged);
  } catch (error) {
    // The first failure is the one to tell; what cannot be removed now is a leftover.
    await remove(staged).catch(() => {});
    throw error;
  } finally {
    active.delete(basename(staged));
  }
}

/** Puts a folder back that a killed {@link replaceFolder} had moved aside, or removes it where the new one is in place. */
export async function recoverFolder(target: string): Promise<void> {
  const aside = asideName(target);
  if (!(await exists(aside))) return;
  if (await exists(target)) return remove(aside);
  await move(aside, target);
  await syncPath(dirname(target));
}

/**
 * Replaces a file in one piece, or makes it: readers, and a crash at any time, see the old or the new one.
 *
 * @param content the new text, or what writes a file (or makes a link) under the temporary name it is given
 */
export async function replaceFile(
  path: string,
  content: string | ((temporary: string) => Promise<void>),
): Promise<void> {
  const temporary = temporaryName(path);
  const write = typeof content === "string" ? () => writeFile(temporary, content) : () => content(temporary);
  try {
    await fileOperation("write", temporary, write);
    await placeFile(temporary, path);
  } catch (error) {
    await remove(temporary).catch(() => {});
    throw error;
  }
}

/**
 * The same for a file that is written with temporary files of its own: all of them are in a folder next to its place.
 *
 * @param write writes the file of the path it is given
 */
export async function replaceFileFromFolder<T>(path: string, write: (temporary: string) => Promise<T>): Promise<T> {
  return withStaged(path, async (staged) => {
    const temporary = join(staged, basename(path));
    const result = await write(temporary);
    await placeFile(temporary, path);
    await remove(staged);
    return result;
  });
}

/** Gives a finished file its name, over whatever file has it: forced to the disk, renamed, and the folder forced to the disk. */
export async function placeFile(temporary: string, path: string): Promise<void> {
  await syncPath(temporary);
  await move(temporary, path);
  await syncPath(dirname(path));
}

/** Removes a folder so that a crash leaves it whole or gone: taken out of sight by one rename, then deleted. */
export async function removeFolder(path: string): Promise<void> {
  if (!(await exists(path))) return;
  const temporary = temporaryName(path);
  await move(path, temporary);
  await remove(temporary);
}

/** Cleans a folder after a process that was killed: what it had moved aside is put back, what it had not finished is removed. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await list(folder)) {
    if (name.startsWith(newPrefix)) await remove(join(folder, name));
    else if (name.startsWith(oldPrefix)) await recoverFolder(join(folder, name.slice(oldPrefix.length)));
  }
}

/**
 * Removes from a folder what processes of this machine were writing when they were killed. Others may be at work in it: what belongs to a
 * living process, or to another machine, stays.
 */
export async function removeDeadLeftovers(folder: string): Promise<void> {
  for (const name of await list(folder)) {
    const { host, pid } = newName.exec(name)?.groups ?? {};
    if (host === thisHost && !active.has(name) && !isOther(Number(pid))) await remove(join(folder, name));
  }
}

/** Names of what this process is writing. */
const active = new Set<string>();

/** Process numbers mean something on one machine only. */
const thisHost = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);

/** Whether another process of this machine has the number now. */
function isOther(pid: number): boolean {
  return pid !== process.pid && isRunning({ ...thisProcess(), pid, began: null });
}

/** A name next to a place for what is not finished; {@link removeLeftovers} removes what has it. */
export function temporaryName(target: string): string {
  const name = [basename(target), thisHost, process.pid, randomBytes(4).toString("hex")].join("-");
  return join(dirname(target), `${newPrefix}${name}`);
}

function asideName(target: string): string {
  return join(dirname(target), `${oldPrefix}${basename(target)}`);
}
