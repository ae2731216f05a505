// Reads rows from files or memory, with the place of each.
import { DataError, slices } from "@tunesmith/core";
import { beginning } from "./chunks.ts";
import { fileRows, streamRows } from "./file.ts";
import { filesAt } from "./folder.ts";
import { begin, rowsOf } from "./iterables.ts";
import { type Row, RowMaker } from "./row.ts";
import type { RowErrors } from "./row-errors.ts";
import {
  type DatasetSource,
  DerivedDataset,
  pathsOf,
  type ReadOptions,
  type RowIterable,
  type StreamPart,
} from "./source.ts";

export type { Row } from "./row.ts";
export type { DatasetSource } from "./source.ts";

/**
 * Reads a source row by row, and no further than it is asked for. What is wrong with a single row goes to `errors`, so that one reading
 * reports many rows; a file that cannot be read at all throws `FileSystemError`, one of another kind a `DataError` that says what it is.
 */
export async function* readRows(source: DatasetSource, options: ReadOptions, errors: RowErrors): AsyncGenerator<Row> {
  if (source instanceof DerivedDataset) return yield* source.rows(readRows, options, errors);
  const { name, maxRowBytes, onIgnoredFile = () => {} } = options;
  const paths = pathsOf(source);
  if (paths === null) return yield* memoryRows(rowsOf(source, name), name, new RowMaker(name, maxRowBytes, errors));
  for (const path of paths)
    for (const file of await filesAt(path, onIgnoredFile))
      yield* fileRows(file, new RowMaker(file, maxRowBytes, errors), options);
}

/** Rows of a program, or bytes or texts of which a file is made: the first part says which. */
async function* memoryRows(source: RowIterable, name: string, maker: RowMaker): AsyncGenerator<Row> {
  const parts = begin(source, name);
  const first = await parts.next();
  const all = rest(first, parts);
  if (first.done !== true && isPiece(first.value)) {
    const stream = await beginning(bytesOf(all, name));
    try {
      return yield* streamRows(stream, name, maker);
    } finally {
      await stream.close();
    }
  }
  let line = 0;
  for await (const value of all) {
    line += 1;
    yield* maker.measured(value, line);
    if (slices.isOver) await slices.turn();
  }
}

function isPiece(value: unknown): value is Uint8Array | string {
  return typeof value === "string" || value instanceof Uint8Array;
}

/** What an iterator gives from its first result on. A reader that leaves ends it. */
async function* rest(
  first: IteratorResult<StreamPart>,
  parts: Iterator<StreamPart> | AsyncIterator<StreamPart>,
): AsyncGenerator<StreamPart, undefined> {
  let ended = first.done === true;
  try {
    for (let next = first; next.done !== true; next = await parts.next()) yield next.value;
    ended = true;
  } finally {
    if (!ended) await parts.return?.();
  }
}

async function* bytesOf(parts: AsyncIterable<StreamPart>, name: string): AsyncGenerator<Buffer, undefined> {
  for await (const part of parts) {
    if (!isPiece(part))
      throw new DataError(`[${name}] expected bytes or texts alone, got a row among them; give one or the other`);
    yield typeof part === "string" ? Buffer.from(part) : Buffer.from(part.buffer, part.byteOffset, part.byteLength);
  }
}
