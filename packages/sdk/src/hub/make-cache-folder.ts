// Folders of the cache, with the advice that belongs to them.
import { FileSystemError, makeFolders } from "@tunesmith/core";

/** Makes a folder of the cache and its parents. */
export async function makeCacheFolder(path: string): Promise<void> {
  try {
    await makeFolders(path);
  } catch (cause) {
    throw new FileSystemError(
      `[${path}] expected a writable cache folder, got ${(cause as Error).message}; set HF_HOME`,
      { cause },
    );
  }
}
