// What is being read is never replaced: which outputs would do that.
import { readdir, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ArgumentError } from "../errors.ts";

/**
 * Refuses an output that is one of the inputs, a file in one of them, or a folder around one, by whatever path: through links, `..` and
 * other spellings of a name. What is not there yet replaces nothing.
 *
 * @param inputs files and folders that are read while the output is written
 */
export async function refuseInput(output: string, inputs: readonly string[]): Promise<void> {
  const there = await identity(output);
  if (there === null) return;
  for (const input of inputs) {
    for (const path of [input, ...(await entriesOf(input))]) {
      if (!(await isAtOrIn(path, there))) continue;
      const got = (await identity(path)) === there ? `${path} itself` : `a folder around ${path}`;
      throw new ArgumentError(
        `[${output}] expected a path apart from what is being read, got ${got}; nothing was changed: choose another path`,
      );
    }
  }
}

/** What is the same for all paths of a file or folder; null where there is none. */
async function identity(path: string): Promise<string | null> {
  const found = await stat(path, { bigint: true }).catch(() => null);
  if (found === null) return null;
  // Some file systems of Windows number nothing.
  return found.ino === 0n ? realpath(path) : `${found.dev}:${found.ino}`;
}

/** The files of an input folder, which may be links into other folders; none of a file. */
async function entriesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.map((name) => join(folder, name));
}

/** Whether a path, or any folder around it, is what is asked for: by the path as given and by where its links lead. */
async function isAtOrIn(path: string, there: string): Promise<boolean> {
  const real = await realpath(path).catch(() => null);
  for (const start of new Set([resolve(path), ...(real === null ? [] : [real])])) {
    for (let at = start; ; at = dirname(at)) {
      if ((await identity(at)) === there) return true;
      if (dirname(at) === at) break;
    }
  }
  return false;
}
