// Reads rows from files or memory, with the line of each.
import { fileRows } from "./file.ts";
import { type Row, RowMaker } from "./row.ts";
import type { RowErrors } from "./row-errors.ts";

export type { Row } from "./row.ts";

/** Where rows come from: a path (JSONL, or one JSON array), an array, or an async iterable of row objects. */
export type DatasetSource =
  | string
  | readonly Readonly<Record<string, unknown>>[]
  | AsyncIterable<Readonly<Record<string, unknown>>>;

/** How rows are read. */
export interface ReadOptions {
  /** How an in-memory source is called in errors, for example `trainDataset`. */
  name: string;
  /** Bytes that a row may have; a larger one is an error with its size. */
  maxRowBytes: number;
  /** Stops in the middle of a file. */
  signal?: AbortSignal | undefined;
}

/**
 * Reads a source row by row. What is wrong with a single row goes to `errors`, so that one reading reports many rows; a file
 * that cannot be read at all throws `FileSystemError`, one of another kind a `DataError` that says what it is.
 */
export async function* readRows(source: DatasetSource, options: ReadOptions, errors: RowErrors): AsyncGenerator<Row> {
  const { name, maxRowBytes, signal } = options;
  const maker = new RowMaker(typeof source === "string" ? source : name, maxRowBytes, errors);
  if (typeof source === "string") return yield* fileRows(source, maker, signal);
  let line = 0;
  for await (const value of source) {
    line += 1;
    yield* maker.measured(value, line);
  }
}
