// A file as a stream of bytes, with its beginning at hand.
import { createReadStream } from "node:fs";
import { DataError, FileSystemError } from "@tunesmith/core";

/** A file as a stream of bytes whose beginning can be looked at first. */
export interface OpenedFile {
  /** The first chunk; empty for an empty file. */
  head: Buffer;
  /** All chunks, the first included. */
  chunks: AsyncIterable<Buffer>;
}

/** Opens a file for reading in chunks of a megabyte. What the system refuses is a `FileSystemError`, a folder a `DataError`. */
export async function openFile(path: string, signal: AbortSignal | undefined): Promise<OpenedFile> {
  const chunks = read(path, signal);
  const { value: head } = await chunks.next();
  return { head: head ?? Buffer.alloc(0), chunks: join(head, chunks) };
}

async function* join(head: Buffer | undefined, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  if (head !== undefined) yield head;
  yield* rest;
}

async function* read(path: string, signal: AbortSignal | undefined): AsyncGenerator<Buffer, undefined> {
  try {
    yield* createReadStream(path, { highWaterMark: 1 << 20, signal }) as AsyncIterable<Buffer>;
  } catch (cause) {
    signal?.throwIfAborted();
    if ((cause as NodeJS.ErrnoException).code === "EISDIR")
      throw new DataError(`[${path}] expected a file of rows, got a folder; name the file in it`, { cause });
    throw new FileSystemError(
      `[${path}] expected a readable data file, got ${(cause as Error).message}; check the path`,
      { cause },
    );
  }
}
