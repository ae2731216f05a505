import { execFileSync } from "node:child_process";
import { appendFile, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FileSystemError } from "../errors.ts";
import { scratchFolder } from "../testing/scratch.ts";
import { LineFile } from "./line-file.ts";
import { fileOperations } from "./operations.ts";

test("lines are added, and a file is cut back to an earlier end", async () => {
  const path = join(await scratchFolder(onTestFinished), "lines");
  const first = await LineFile.open(path, 0);
  first.add({ step: 1 });
  await first.flush();
  const end = first.size;
  first.add({ step: 2, loss: Number.NaN });
  await first.flush();
  await first.close();
  const second = await LineFile.open(path, end);
  second.add({ step: 3 });
  await second.flush();
  await second.close();
  expect(await readFile(path, "utf8")).toBe('{"step":1}\n{"step":3}\n');
});

test("of a file that is shorter than it should be the whole lines stay", async () => {
  const path = join(await scratchFolder(onTestFinished), "lines");
  const long = `{"text":"${"x".repeat(200_000)}`;
  for (const [text, kept] of [
    ['{"a":1}\n{"b"', '{"a":1}\n'],
    ['{"a"', ""],
    [`{"a":1}\n${long}`, '{"a":1}\n'],
  ] as const) {
    await writeFile(path, text);
    const file = await LineFile.open(path, 1_000_000);
    expect(file.size).toBe(kept.length);
    file.add({ next: 1 });
    await file.flush();
    await file.close();
    expect(await readFile(path, "utf8")).toBe(`${kept}{"next":1}\n`);
  }
});

test("lines that could not be written are written the next time, once", async () => {
  const path = join(await scratchFolder(onTestFinished), "lines");
  const file = await LineFile.open(path, 0);
  file.add({ a: 1 });
  await file.flush();
  fileOperations.before = () => {
    throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
  };
  file.add({ b: 2 });
  await expect(file.flush()).rejects.toThrow(FileSystemError);
  fileOperations.before = null;
  // What a write that failed in its middle leaves.
  await appendFile(path, '{"b"');
  file.add({ c: 3 });
  await file.sync();
  expect(file.size).toBe(24);
  await file.close();
  expect(await readFile(path, "utf8")).toBe('{"a":1}\n{"b":2}\n{"c":3}\n');
});

test("a line that is added while others are written is written the next time", async () => {
  const path = join(await scratchFolder(onTestFinished), "a.jsonl");
  const file = await LineFile.open(path, 0);
  file.add({ a: 1 });
  const writing = file.flush();
  file.add({ b: 2 });
  await writing;
  await file.flush();
  await file.close();
  expect(await readFile(path, "utf8")).toBe('{"a":1}\n{"b":2}\n');
});

test("what is no regular file is refused: a link is not followed, and a pipe is not waited for", async () => {
  const root = await scratchFolder(onTestFinished);
  await writeFile(join(root, "mine"), "precious");
  const made: [string, RegExp, () => unknown][] = [
    ["link", /got a symbolic link/, () => symlink("mine", join(root, "link"))],
    ["dangling", /got a symbolic link/, () => symlink("nothing", join(root, "dangling"))],
    ["folder", /got a folder/, () => mkdir(join(root, "folder"))],
  ];
  if (process.platform !== "win32")
    made.push(["pipe", /got a special file/, () => execFileSync("mkfifo", [join(root, "pipe")])]);
  for (const [name, message, make] of made) {
    await make();
    const opening = LineFile.open(join(root, name), 0);
    await expect(opening).rejects.toThrow(FileSystemError);
    await expect(opening).rejects.toThrow(message);
  }
  expect(await readFile(join(root, "mine"), "utf8")).toBe("precious");
});
