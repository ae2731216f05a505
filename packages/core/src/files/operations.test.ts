import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FileSystemError } from "../errors.ts";
import { digestFile } from "./operations.ts";

test("a digest is of a regular file: a pipe without a writer would be waited for", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "a"), "abc");
  expect(await digestFile(join(folder, "a"))).toMatchObject({ size: 3, sha256: expect.stringMatching(/^ba7816bf/u) });
  await expect(digestFile(folder)).rejects.toThrow(FileSystemError);
  if (process.platform === "win32") return;
  execFileSync("mkfifo", [join(folder, "pipe")]);
  await expect(digestFile(join(folder, "pipe"))).rejects.toThrow(/pipe\] expected a regular file/u);
});
