// Makes a folder with its parents, one plain step at a time.
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder and the parents it lacks. Node's own `recursive` never returns where a file system answers ENOENT to a new folder
 * (`/proc`), so each level is made by itself.
 *
 * @returns whether the folder is new
 * @throws the system's error, as Node gives it
 */
export async function makeFolders(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    const parent = dirname(path);
    const lacksParent = (error as NodeJS.ErrnoException).code === "ENOENT" && parent !== path;
    if (!lacksParent) {
      if (await isFolder(path)) return false;
      throw error;
    }
    // A parent that was there all along is not what is missing: the second try gives the system's reason.
    await makeFolders(parent);
  }
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    // Another process may have been faster.
    if (await isFolder(path)) return false;
    throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() ?? false;
}
