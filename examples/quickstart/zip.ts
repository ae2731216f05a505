// Streams one file out of a zip archive.
import { open } from "node:fs/promises";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createInflateRaw } from "node:zlib";
import { ModelFileError } from "tunesmith";

/** What the central directory says of a file in a zip archive. */
interface ZipEntry {
  name: string;
  /** 0 is stored, 8 is deflate. */
  method: number;
  compressedSize: number;
  localHeader: number;
}

// Signatures and sizes of APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.
const endSignature = 0x06054b50;
const entrySignature = 0x02014b50;
const localSignature = 0x04034b50;
const endSize = 22;
const entrySize = 46;
const localSize = 30;
const longestComment = 0xffff;

/** Streams one file of a zip archive into `target`. Archives of 4 GiB and more (zip64) are refused. */
export async function extractZipEntry(
  archive: string,
  matches: (name: string) => boolean,
  target: Writable,
): Promise<void> {
  const file = await open(archive);
  try {
    const { size } = await file.stat();
    const read = async (position: number, length: number): Promise<Buffer> => {
      if (position < 0 || position + length > size)
        throw damaged(archive, "an archive of full length", "one that was cut off");
      const { buffer } = await file.read(Buffer.alloc(length), 0, length, position);
      return buffer;
    };
    const tail = Math.min(size, endSize + longestComment);
    const entry = readEntries(archive, await read(size - tail, tail), size - tail, read);
    const found = (await entry).find(({ name }) => matches(name));
    if (found === undefined) throw damaged(archive, "a file of the wanted name", "none");
    const local = await read(found.localHeader, localSize);
    if (local.readUInt32LE(0) !== localSignature) throw damaged(archive, "a local file header", "other bytes");
    const start = found.localHeader + localSize + local.readUInt16LE(26) + local.readUInt16LE(28);
    if (start + found.compressedSize > size)
      throw damaged(archive, "an archive of full length", "one that was cut off");
    const bytes = file.createReadStream({
      start,
      end: start + found.compressedSize - 1,
      autoClose: false,
      highWaterMark: 1 << 20,
    });
    if (found.method === 8) await pipeline(bytes, createInflateRaw({ chunkSize: 1 << 20 }), target);
    else if (found.method === 0) await pipeline(bytes, target);
    else throw damaged(archive, "a stored or deflated file", `method ${found.method}`);
  } catch (cause) {
    throw ModelFileError.isInstance(cause)
      ? cause
      : damaged(archive, "a readable archive", (cause as Error).message, cause);
  } finally {
    await file.close();
  }
}

async function readEntries(
  archive: string,
  tail: Buffer,
  tailStart: number,
  read: (position: number, length: number) => Promise<Buffer>,
): Promise<ZipEntry[]> {
  let end = tail.length - endSize;
  while (end >= 0 && tail.readUInt32LE(end) !== endSignature) end -= 1;
  if (end < 0) throw damaged(archive, "a zip archive", "no end of central directory");
  const length = tail.readUInt32LE(end + 12);
  const start = tail.readUInt32LE(end + 16);
  if (start + length > tailStart + end)
    throw damaged(archive, "a central directory inside the archive", "one outside it");
  const directory = await read(start, length);
  const entries: ZipEntry[] = [];
  for (let at = 0; at + entrySize <= directory.length; ) {
    if (directory.readUInt32LE(at) !== entrySignature) throw damaged(archive, "a directory entry", "other bytes");
    const nameLength = directory.readUInt16LE(at + 28);
    entries.push({
      name: directory.toString("utf8", at + entrySize, at + entrySize + nameLength),
      method: directory.readUInt16LE(at + 10),
      compressedSize: directory.readUInt32LE(at + 20),
      localHeader: directory.readUInt32LE(at + 42),
    });
    at += entrySize + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  return entries;
}

function damaged(archive: string, expected: string, got: string, cause?: unknown): ModelFileError {
  return new ModelFileError("FILE_INVALID", `[${archive}] expected ${expected}, got ${got}; delete it and try again`, {
    cause,
  });
}
