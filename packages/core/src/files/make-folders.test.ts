import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FileSystemError } from "../errors.ts";
import { scratchFolder } from "../testing/scratch.ts";
import { makeFolders } from "./make-folders.ts";
import { makeFolder } from "./operations.ts";

test("parents are made, and a folder that is there is no error", async () => {
  const root = await scratchFolder(onTestFinished);
  const path = join(root, "a", "b", "c");
  expect(await makeFolders(path)).toBe(true);
  expect(await makeFolders(path)).toBe(false);
  const both = await Promise.all([makeFolders(join(root, "x", "y")), makeFolders(join(root, "x", "y"))]);
  expect(both.filter(Boolean)).toHaveLength(1);
});

test("a file in the way is an error, in the path or at its end", async () => {
  const file = join(await scratchFolder(onTestFinished), "file");
  await writeFile(file, "");
  await expect(makeFolder(file)).rejects.toThrow(FileSystemError);
  await expect(makeFolder(join(file, "sub"))).rejects.toThrow(/file.sub\] could not make the folder/);
  await expect(makeFolder(join(file, "sub", "deeper"))).rejects.toThrow(FileSystemError);
});

test.skipIf(process.platform !== "linux")("a folder that no one can make is an error at once", async () => {
  await expect(makeFolder("/proc/tunesmith-test")).rejects.toThrow(FileSystemError);
  await expect(makeFolder("/proc/tunesmith-test/run")).rejects.toThrow(/check the path/);
});
