// Reads rows from JSONL, a JSON array or memory, with the line of each.
import { createReadStream } from "node:fs";
import { asObject, DataError, FileSystemError, parseExact, writeExact } from "@tunesmith/core";
import type { RowErrors } from "./row-errors.ts";

/** One row of a data set, before any format has looked at it. Fields that no format knows are kept. */
export interface Row {
  fields: Readonly<Record<string, unknown>>;
  /** File it was read from, or the name of the in-memory source. */
  source: string;
  /** Line in the file, or position in the array or iterable; both from 1. In a JSON array: position of the element. */
  line: number;
}

/** Where rows come from: a path (JSONL, or one JSON array), an array, or an async iterable of row objects. */
export type DatasetSource =
  | string
  | readonly Readonly<Record<string, unknown>>[]
  | AsyncIterable<Readonly<Record<string, unknown>>>;

/**
 * Reads a source row by row. What is wrong with a single row goes to `errors`, so that one reading reports many rows; a file
 * that cannot be read at all throws `FileSystemError`.
 *
 * @param name how an in-memory source is called in errors, for example `trainDataset`
 */
export async function* readRows(source: DatasetSource, name: string, errors: RowErrors): AsyncGenerator<Row> {
  if (typeof source === "string") {
    yield* readFile(source, errors);
    return;
  }
  let line = 0;
  for await (const value of source) {
    line += 1;
    const row = toRow(value, name, line, errors);
    if (row !== null) yield row;
  }
}

/** Tells a JSON array from JSONL by the first character, whatever the file is called. */
async function* readFile(path: string, errors: RowErrors): AsyncGenerator<Row> {
  let array: string[] | null = null;
  let first = true;
  for await (const { text, line, complete } of readLines(path, errors)) {
    if (first && text.trim() !== "") {
      first = false;
      if (text.trimStart().startsWith("[")) array = [];
    }
    if (array !== null) array.push(text);
    else if (text.trim() !== "") yield* parseLine(text, path, line, complete, errors);
  }
  if (array !== null) yield* parseArray(array.join("\n"), path, errors);
}

function* parseLine(text: string, path: string, line: number, complete: boolean, errors: RowErrors): Generator<Row> {
  let value: unknown;
  try {
    value = parseExact(text);
  } catch (cause) {
    const cut = complete ? "" : " (the file ends here without a line break: it may have been cut off)";
    errors.add(
      path,
      line,
      `expected one JSON object per line, got ${excerpt(text)}: ${(cause as Error).message}${cut}; fix or remove the line`,
    );
    return;
  }
  const row = toRow(value, path, line, errors);
  if (row !== null) yield row;
}

function* parseArray(text: string, path: string, errors: RowErrors): Generator<Row> {
  let values: unknown;
  try {
    values = parseExact(text);
  } catch (cause) {
    throw new DataError(
      `[${path}] expected a JSON array of rows, or JSONL with one object per line, got ${(cause as Error).message}; fix the file`,
      { cause },
    );
  }
  for (const [index, value] of (values as unknown[]).entries()) {
    const row = toRow(value, path, index + 1, errors);
    if (row !== null) yield row;
  }
}

function toRow(value: unknown, source: string, line: number, errors: RowErrors): Row | null {
  const fields = asObject(value);
  if (fields !== null) return { fields, source, line };
  errors.add(
    source,
    line,
    `expected an object with the row's columns, got ${excerpt(shown(value))}; give each row as { column: value }`,
  );
  return null;
}

/** What is not a row, as text. A program may give what JSON cannot hold. */
function shown(value: unknown): string {
  try {
    return writeExact(value);
  } catch {
    return String(value);
  }
}

interface Line {
  text: string;
  /** From 1. */
  line: number;
  /** False for a last line that no line break ends. */
  complete: boolean;
}

const newline = 0x0a;

/** Lines of a file without their endings (LF or CRLF) and without a byte-order mark. Lines that are not UTF-8 become errors. */
async function* readLines(path: string, errors: RowErrors): AsyncGenerator<Line> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = 0;
  const decode = (bytes: Uint8Array, complete: boolean): Line | null => {
    line += 1;
    try {
      // Drops a byte-order mark, in the middle of concatenated files too.
      const text = decoder.decode(bytes);
      return { text: text.endsWith("\r") ? text.slice(0, -1) : text, line, complete };
    } catch {
      errors.add(
        path,
        line,
        `expected UTF-8, got other bytes in ${excerpt(Buffer.from(bytes).toString("latin1"))}; save the file as UTF-8`,
      );
      return null;
    }
  };
  // A line may span many chunks: its parts are joined once, when its end is found.
  let parts: Buffer[] = [];
  for await (const chunk of chunksOf(path)) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      parts.push(chunk.subarray(start, end));
      const found = decode(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts), true);
      if (found !== null) yield found;
      parts = [];
      start = end + 1;
    }
    if (start < chunk.length) parts.push(chunk.subarray(start));
  }
  if (parts.length > 0) {
    const found = decode(Buffer.concat(parts), false);
    if (found !== null) yield found;
  }
}

async function* chunksOf(path: string): AsyncGenerator<Buffer> {
  try {
    yield* createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>;
  } catch (cause) {
    throw new FileSystemError(
      `[${path}] expected a readable data file, got ${(cause as Error).message}; check the path`,
      { cause },
    );
  }
}

/** At most 80 characters of a text, on one line and quoted, for an error message. */
export function excerpt(text: string): string {
  const flat = text.replaceAll(/\s+/gu, " ").trim();
  return JSON.stringify(flat.length > 80 ? `${flat.slice(0, 79)}…` : flat);
}
