import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { extractZipEntry } from "./zip.ts";

/** A zip archive by the book: local headers, directory, end record with a comment. Checksums stay 0: the caller checks a SHA-256. */
function zipOf(files: { name: string; content: Buffer; method: 0 | 8 }[]): Buffer {
  const locals: Buffer[] = [];
  const entries: Buffer[] = [];
  let offset = 0;
  for (const { name, content, method } of files) {
    const data = method === 8 ? deflateRawSync(content) : content;
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(method, 8);
    local.writeUInt32LE(data.length, 18);
    local.writeUInt32LE(content.length, 22);
    local.writeUInt16LE(name.length, 26);
    local.writeUInt16LE(4, 28);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt32LE(data.length, 20);
    entry.writeUInt32LE(content.length, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE(offset, 42);
    locals.push(local, Buffer.from(name), Buffer.alloc(4), data);
    entries.push(entry, Buffer.from(name));
    offset += 34 + name.length + data.length;
  }
  const directory = Buffer.concat(entries);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(7, 20);
  return Buffer.concat([...locals, directory, end, Buffer.from("comment")]);
}

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

  it("reads deflated and stored files", async () => {
    expect(await extract(archive, "pkg/model.gguf")).toEqual(weights);
    expect((await extract(archive, "README")).toString()).toBe("read me");
  });

  it("names the archive when it is cut off, damaged, not an archive, or lacks the file", async () => {
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
