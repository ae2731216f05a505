// A file as a stream of bytes, with its beginning at hand.
import { createReadStream } from "node:fs";
import { DataError, FileSystemError } from "@tunesmith/core";
import type { ReadOptions } from "./source.ts";

/** A stream of bytes whose beginning can be looked at first. */
export interface OpenedFile {
  /** The first chunk; empty for an empty file. */
  head: Buffer;
  /** All chunks, the first included. */
  chunks: AsyncIterable<Buffer>;
  /** Ends the reading, also before it has begun. */
  close(): Promise<unknown>;
}

/** Opens a file for reading in chunks of a megabyte. What the system refuses is a `FileSystemError`, a folder a `DataError`. */
export function openFile(path: string, options: Pick<ReadOptions, "signal" | "onRead">): Promise<OpenedFile> {
  return beginning(read(path, options));
}

/** Bytes of a beginning, where there are as many: by fewer no kind of file can be told. */
const told = 1 << 12;

/** Looks at the beginning of a stream of bytes. */
export async function beginning(chunks: AsyncGenerator<Buffer, undefined>): Promise<OpenedFile> {
  const first: Buffer[] = [];
  for (let size = 0; size < told; ) {
    const { value } = await chunks.next();
    if (value === undefined) break;
    first.push(value);
    size += value.length;
  }
  const head = Buffer.concat(first);
  return { head, chunks: join(head, chunks), close: () => chunks.return(undefined) };
}

async function* join(head: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer, undefined> {
  if (head.length > 0) yield head;
  yield* rest;
}

async function* read(
  path: string,
  { signal, onRead }: Pick<ReadOptions, "signal" | "onRead">,
): AsyncGenerator<Buffer, undefined> {
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal }) as AsyncIterable<Buffer>) {
      onRead?.(chunk.length);
      yield chunk;
    }
  } catch (cause) {
    signal?.throwIfAborted();
    if ((cause as NodeJS.ErrnoException).code === "EISDIR")
      throw new DataError(`[${path}] expected a file of rows, got a folder; name the file in it`, { cause });
    throw new FileSystemError(
      `[${path}] expected a readable data file, got ${(cause as Error).message}; check the path${ofHub(path)}`,
      { cause },
    );
  }
}

/** What to do where a name of the Hub was given as a path. */
function ofHub(path: string): string {
  return /^[\w-][\w.-]*\/[\w-][\w.-]*$/u.test(path)
    ? `, or open a data set of the Hub with loadDataset("${path}")`
    : "";
}
