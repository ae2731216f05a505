// Reads rows from JSONL, a JSON array or memory, with the line of each.
import { asObject, parseExact, writeExact } from "@tunesmith/core";
import { openFile } from "./chunks.ts";
import { excerpt } from "./excerpt.ts";
import { type Layout, layoutOf } from "./file-kind.ts";
import { elements, lines, type Piece } from "./pieces.ts";
import type { RowErrors } from "./row-errors.ts";
import { sizeOf } from "./size.ts";

/** One row of a data set, before any format has looked at it. Fields that no format knows are kept. */
export interface Row {
  fields: Readonly<Record<string, unknown>>;
  /** File it was read from, or the name of the in-memory source. */
  source: string;
  /** Line in the file, or position in the array or iterable; both from 1. In a JSON array: position of the element. */
  line: number;
  /** Bytes that it has in its file; about as many as it would have, for a row in memory. */
  size: number;
}

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
  const reader = new RowReader(typeof source === "string" ? source : options.name, options.maxRowBytes, errors);
  if (typeof source === "string") {
    const { head, chunks } = await openFile(source, options.signal);
    const layout = layoutOf(head, source);
    const pieces = layout === "array" ? elements(chunks, options.maxRowBytes) : lines(chunks, options.maxRowBytes);
    for await (const piece of pieces) yield* reader.fromFile(piece, layout);
    return;
  }
  let line = 0;
  for await (const value of source) {
    line += 1;
    yield* reader.fromMemory(value, line);
  }
}

/** Makes rows of what one source holds, and names what is none. */
class RowReader {
  readonly #source: string;
  readonly #maxRowBytes: number;
  readonly #errors: RowErrors;
  // Drops a byte order mark, in the middle of concatenated files too.
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });

  constructor(source: string, maxRowBytes: number, errors: RowErrors) {
    this.#source = source;
    this.#maxRowBytes = maxRowBytes;
    this.#errors = errors;
  }

  *fromMemory(value: unknown, line: number): Generator<Row> {
    const size = sizeOf(value, this.#maxRowBytes);
    if (size > this.#maxRowBytes) this.#refuseSize(line, `more than ${this.#maxRowBytes}`);
    else yield* this.#row(value, line, size);
  }

  *fromFile(piece: Piece, layout: Layout): Generator<Row> {
    const { line, size, bytes } = piece;
    if (size > this.#maxRowBytes) return this.#refuseSize(line, String(size));
    const text = this.#decode(bytes, line);
    if (text === null || (layout === "lines" ? text.trim() === "" : !this.#isElement(text, piece))) return;
    let value: unknown;
    try {
      value = parseExact(text);
    } catch (cause) {
      const expected = layout === "lines" ? "one JSON object per line" : "a JSON array of objects";
      const whole = piece.end !== "file" || text.trimEnd().endsWith("}");
      const cut = whole ? "" : " (the file ends here without a line break: it may have been cut off)";
      const got = `${excerpt(text)}: ${(cause as Error).message}${cut}`;
      this.#errors.add(this.#source, line, `expected ${expected}, got ${got}; fix or remove the row`);
      return;
    }
    yield* this.#row(value, line, size);
  }

  #decode(bytes: Buffer, line: number): string | null {
    try {
      return this.#decoder.decode(bytes);
    } catch {
      const got = excerpt(bytes.toString("latin1"));
      this.#errors.add(this.#source, line, `expected UTF-8, got other bytes in ${got}; save the file as UTF-8`);
      return null;
    }
  }

  /** Whether a piece of an array is an element; of what is neither that nor white space an error is noted. */
  #isElement(text: string, { line, end }: Piece): boolean {
    const blank = text.trim() === "";
    if (end === "rest" ? blank : blank && end === "]" && line === 1) return false;
    if (!blank && end !== "rest" && end !== "file") return true;
    const got =
      end === "rest"
        ? `${excerpt(text)} after its end`
        : end === "file"
          ? "the end of the file inside it: it may have been cut off"
          : "a comma without an element";
    this.#errors.add(this.#source, line, `expected a JSON array of rows, got ${got}; fix the file`);
    return false;
  }

  #refuseSize(line: number, size: string): void {
    const advice = "shorten or remove it, or allow it with maxRowBytes";
    this.#errors.add(
      this.#source,
      line,
      `expected a row of at most ${this.#maxRowBytes} bytes, got one of ${size}; ${advice}`,
    );
  }

  *#row(value: unknown, line: number, size: number): Generator<Row> {
    const fields = asObject(value);
    if (fields !== null) yield { fields, source: this.#source, line, size };
    else
      this.#errors.add(
        this.#source,
        line,
        `expected an object with the row's columns, got ${excerpt(shown(value))}; give each row as { column: value }`,
      );
  }
}

/** What is not a row, as text. A program may give what JSON cannot hold. */
function shown(value: unknown): string {
  try {
    return writeExact(value);
  } catch {
    return String(value);
  }
}
