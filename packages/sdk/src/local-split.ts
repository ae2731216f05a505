// A split of a data set in a folder of this machine, chosen by the names of its files as datasets does.
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileOperation } from "@tunesmith/core";
import { chosenSplit, splitsOf } from "./hub/dataset-files.ts";

/**
 * The files of one split of a folder: by the `configs` of its README.md, else by words such as train and test in the names of files and
 * folders. A file is its own train split. Rejects with `DownloadError` that names the splits there are, where it is none of them.
 */
export async function localSplit(
  path: string,
  { name = null, split }: { name?: string | null; split: string },
): Promise<string[]> {
  const isFolder = (await fileOperation("read", path, () => stat(path))).isDirectory();
  const found = isFolder ? await fileOperation("read", path, () => readdir(path, { recursive: true })) : [path];
  const files = found.map((file) => ({ path: file.replaceAll("\\", "/"), size: 0, digest: "" }));
  const readme =
    isFolder && found.includes("README.md")
      ? await fileOperation("read", path, () => readFile(join(path, "README.md"), "utf8"))
      : null;
  // One file of any name is what its path names, whatever words are in it.
  const splits = isFolder ? splitsOf(files, readme) : [{ name: "default", split: "train", files }];
  const chosen = chosenSplit(splits, { name, split }, path);
  return chosen.files.map((file) => (isFolder ? join(path, file.path) : file.path));
}
