import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { zipOf } from "./testing/zip-of.ts";
import { extractZipEntry } from "./zip.ts";

describe("extractZipEntry", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tunesmith-zip-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const weights = Buffer.from("weights ".repeat(10_000));
  const extract = async (archive: Buffer, name: string) => {
    await writeFile(join(folder, "a.zip"), archive);
    await extractZipEntry(join(folder, "a.zip"), (entry) => entry === name, createWriteStream(join(folder, "out")));
    return readFile(join(folder, "out"));
  };
  const archive = zipOf([
    { name: "README", content: Buffer.from("read me"), method: 0 },
    { name: "pkg/model.gguf", content: weights, method: 8 },
  ]);

  test("reads deflated and stored files", async () => {
    expect(await extract(archive, "pkg/model.gguf")).toEqual(weights);
    expect((await extract(archive, "README")).toString()).toBe("read me");
  });

  test("names the archive when it is cut off, damaged, not an archive, or lacks the file", async () => {
    const bent = Buffer.from(archive);
    bent.fill(0xff, 90, 120);
    for (const bytes of [archive.subarray(0, 60), archive.subarray(20), bent, Buffer.alloc(0)]) {
      await expect(extract(bytes, "pkg/model.gguf")).rejects.toMatchObject({
        code: "FILE_INVALID",
        message: expect.stringContaining("a.zip"),
      });
    }
    await expect(extract(archive, "missing")).rejects.toMatchObject({ code: "FILE_INVALID" });
  });
});
