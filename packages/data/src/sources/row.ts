// One row of a data set, made of what a source holds; what is none is named with its place.
import { asObject, writeExact } from "@tunesmith/core";
import { excerpt } from "./excerpt.ts";
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
  /** Which of the data sets of a mix it is of, from 0. */
  part?: number;
  /** Whether it was read before, in a mix that begins a data set again. */
  repeated?: boolean;
}

/** Makes rows of what one source holds, and names what is none. */
export class RowMaker {
  readonly #source: string;
  readonly #errors: RowErrors;
  /** Bytes that a row may have. */
  readonly maxRowBytes: number;
  // Drops a byte order mark, in the middle of concatenated files too.
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });

  constructor(source: string, maxRowBytes: number, errors: RowErrors) {
    this.#source = source;
    this.maxRowBytes = maxRowBytes;
    this.#errors = errors;
  }

  /** Notes what is wrong with a row. */
  refuse(line: number, message: string): void {
    this.#errors.add(this.#source, line, message);
  }

  /** Whether a row of so many bytes is within the limit; one beyond it is noted. */
  isWithin(line: number, size: number): boolean {
    if (size > this.maxRowBytes) this.#refuseSize(line, String(size));
    return size <= this.maxRowBytes;
  }

  /** The text of bytes; null, and an error, where they are not UTF-8. */
  decode(bytes: Buffer, line: number): string | null {
    try {
      return this.#decoder.decode(bytes);
    } catch {
      const got = excerpt(bytes.toString("latin1"));
      this.refuse(line, `expected UTF-8, got other bytes in ${got}; save the file as UTF-8`);
      return null;
    }
  }

  /** A row whose bytes are counted here, as it has none in a file of its own. */
  *measured(value: unknown, line: number): Generator<Row> {
    const size = sizeOf(value, this.maxRowBytes);
    if (size > this.maxRowBytes) this.#refuseSize(line, `more than ${this.maxRowBytes}`);
    else yield* this.row(value, line, size);
  }

  /** A row, where the value is an object. */
  *row(value: unknown, line: number, size: number): Generator<Row> {
    const fields = asObject(value);
    if (fields !== null) yield { fields, source: this.#source, line, size };
    else
      this.refuse(
        line,
        `expected an object with the row's columns, got ${excerpt(shown(value))}; give each row as { column: value }`,
      );
  }

  #refuseSize(line: number, size: string): void {
    const advice = "shorten or remove it, or allow it with maxRowBytes";
    this.refuse(line, `expected a row of at most ${this.maxRowBytes} bytes, got one of ${size}; ${advice}`);
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
