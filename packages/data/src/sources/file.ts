// Rows of one file, whatever kind it is of.
import { DataError } from "@tunesmith/core";
import { type OpenedFile, openFile } from "./chunks.ts";
import { layoutOf } from "./file-kind.ts";
import { GzipError, unpacked } from "./gzip.ts";
import { jsonRows } from "./json.ts";
import type { Row, RowMaker } from "./row.ts";
import type { ReadOptions } from "./source.ts";

// The readers of tables come with the first table: opening their packages takes a program that has none as long as all of ours.

/** How a file is read. */
export type FileOptions = Pick<ReadOptions, "signal" | "onRead">;

/** Reads a file row by row. What the system refuses is a `FileSystemError`, a file of another kind a `DataError`. */
export async function* fileRows(path: string, maker: RowMaker, options: FileOptions): AsyncGenerator<Row> {
  const file = await openFile(path, options);
  try {
    if (layoutOf(file.head, path) === "parquet")
      yield* (await import("./parquet.ts")).parquetRows(path, maker, options);
    else yield* streamRows(file, path, maker);
  } finally {
    await file.close();
  }
}

/**
 * The rows of a stream of bytes: JSON, CSV, or these in gzip.
 *
 * @param name of the file or stream, for messages
 */
export async function* streamRows(stream: OpenedFile, name: string, maker: RowMaker): AsyncGenerator<Row> {
  if (layoutOf(stream.head, name) === "gzip") return yield* gzipRows(stream, name, maker);
  yield* textRows(stream, name, maker);
}

async function* gzipRows({ chunks }: OpenedFile, name: string, maker: RowMaker): AsyncGenerator<Row> {
  let rows = 0;
  try {
    const inner = await unpacked(chunks, name);
    try {
      for await (const row of textRows(inner, name, maker)) {
        rows += 1;
        yield row;
      }
    } finally {
      await inner.close();
    }
  } catch (cause) {
    if (!(cause instanceof GzipError)) throw cause;
    throw new DataError(`${cause.message} after ${rows} rows; fetch or write the file again`, { cause });
  }
}

async function* textRows({ head, chunks }: OpenedFile, name: string, maker: RowMaker): AsyncGenerator<Row> {
  const layout = layoutOf(head, name);
  if (layout === "gzip" || layout === "parquet") {
    const got = layout === "gzip" ? "a gzip-compressed file inside another" : "a Parquet file in gzip, or in a stream";
    throw new DataError(`[${name}] expected rows as JSONL, one JSON array or CSV, got ${got}; unpack it into a file`);
  }
  if (typeof layout === "string") yield* jsonRows(chunks, layout, maker);
  else yield* (await import("./csv.ts")).csvRows(chunks, layout.separator, name, maker);
}
