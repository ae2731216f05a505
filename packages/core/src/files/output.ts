// Where an export goes: never over what is read or over the user's own files, over an earlier export of ours when asked.
import { lstat, open, readFile, readlink, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { ArgumentError } from "../errors.ts";
import { refuseInput } from "./inputs.ts";
import { exists, list, writeText } from "./operations.ts";
import { recoverFolder, removeDeadLeftovers, replaceFileFromFolder, replaceFolder } from "./replace.ts";

/** The file by which a folder says that it was written here, and which of its files. */
export const exportManifestName = "tunesmith-export.json";

/** The key by which a GGUF file says so; it stands among the first. */
const ggufKey = "tunesmith.version";

/** Files that a system puts into folders by itself. */
const droppings = [".DS_Store", "Thumbs.db", "desktop.ini"];

/** Where an export goes. */
export interface OutputPlace {
  path: string;
  /** Files and folders that are read meanwhile: none of them is replaced. */
  inputs: readonly string[];
  /** Replace an earlier export of ours. */
  overwrite: boolean;
}

/**
 * Writes a folder whole or not at all, with a manifest by which it is known as an export later.
 *
 * @param fill writes the files into the empty folder it is given (no folders within)
 */
export async function writeOutputFolder(place: OutputPlace, fill: (folder: string) => Promise<void>): Promise<void> {
  // What a killed export has moved aside is there again before anyone asks what is there.
  await recoverFolder(await behindLink(place.path));
  const target = await targetOf(place, isExportedFolder);
  await replaceFolder(target, async (folder) => {
    await fill(folder);
    const files = await list(folder);
    await writeText(join(folder, exportManifestName), `${JSON.stringify({ tunesmith: { files } }, null, 2)}\n`);
  });
}

/**
 * Writes a GGUF file whole or not at all.
 *
 * @param write writes the file of the path it is given, in an empty folder
 */
export async function writeOutputFile<T>(place: OutputPlace, write: (temporary: string) => Promise<T>): Promise<T> {
  return replaceFileFromFolder(await targetOf(place, isExportedFile), write);
}

/** Where a link leads, whether or not there is anything; any other path as it is. */
async function behindLink(path: string): Promise<string> {
  const link = await readlink(path).catch(() => null);
  return link === null ? path : resolve(dirname(path), link);
}

/** The path that is replaced, links followed, once it is known that it may be. */
async function targetOf(
  { path, inputs, overwrite }: OutputPlace,
  find: (path: string) => Promise<string | null>,
): Promise<string> {
  await removeDeadLeftovers(dirname(await behindLink(path)));
  if (!(await exists(path))) return path;
  await refuseInput(path, inputs);
  const target = await realpath(path).catch(() => {
    throw new ArgumentError(
      `[${path}] expected a new path, got a link that leads nowhere; delete it or choose another`,
    );
  });
  const isEmptyFolder = (await lstat(target)).isDirectory() && (await list(target)).length === 0;
  const foreign = await find(target);
  if (foreign !== null && !isEmptyFolder)
    throw new ArgumentError(
      `[${path}] expected a new path or an earlier export, got ${foreign}; nothing was changed: choose another path, or delete this one yourself`,
    );
  if (overwrite || isEmptyFolder) return target;
  throw new ArgumentError(
    `[${path}] expected a new path, got an earlier export; choose another, or ask to overwrite it`,
  );
}

/** Null for a folder that holds an export and nothing else; else what is there. */
async function isExportedFolder(path: string): Promise<string | null> {
  if (!(await lstat(path)).isDirectory()) return "a file";
  const names = (await list(path)).filter((name) => name !== exportManifestName && !droppings.includes(name));
  const files = await filesOf(path);
  if (files === null) return `a folder with files of another kind, ${names.slice(0, 3).join(", ")}`;
  const foreign = names.find((name) => !files.includes(name));
  return foreign === undefined ? null : `an export with a file of another kind, ${foreign}`;
}

/** The files of an export by its manifest; null without one. */
async function filesOf(folder: string): Promise<string[] | null> {
  try {
    const { tunesmith } = JSON.parse(await readFile(join(folder, exportManifestName), "utf8")) as {
      tunesmith: { files: string[] };
    };
    return Array.isArray(tunesmith.files) ? tunesmith.files : null;
  } catch {
    return null;
  }
}

/** Null for a GGUF file that was written here; else what is there. */
async function isExportedFile(path: string): Promise<string | null> {
  const found = await lstat(path);
  if (found.isDirectory()) return "a folder; give the name of a .gguf file";
  if (!found.isFile()) return "no regular file";
  const handle = await open(path, "r");
  try {
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(4096), position: 0 });
    const start = buffer.subarray(0, bytesRead);
    const isOurs = start.subarray(0, 4).toString("latin1") === "GGUF" && start.includes(ggufKey);
    return isOurs ? null : `a file of another kind, ${basename(path)}`;
  } finally {
    await handle.close();
  }
}
