// Rows of CSV and TSV: the first line names the columns, every value is a text.
import { DataError, slices } from "@tunesmith/core";
import { CsvError, parse } from "csv-parse";
import { excerpt } from "./excerpt.ts";
import type { Row, RowMaker } from "./row.ts";
import { writing } from "./through.ts";

/** Bytes that a row may have before a quote is taken for one that nothing closes; rows above `maxRowBytes` are named one by one. */
const longest = 1 << 26;

/** Values of one row of the file, as bytes, and the bytes it was read from, both as ISO 8859-1; without the end of its line. */
interface CsvRecord {
  record: string[];
  raw: string;
}

/**
 * The rows of a table, each at the line where it starts. Empty lines are passed over. A row with more or fewer values than there are
 * columns is noted; a fault in the quoting is a `DataError`, since no one can say where the next row begins.
 *
 * @param separator between the values of a row
 */
export async function* csvRows(
  chunks: AsyncIterable<Buffer>,
  separator: string,
  path: string,
  maker: RowMaker,
): AsyncGenerator<Row> {
  let found: CsvRecord[] = [];
  // Bytes are decoded row by row, so that an error can name the row.
  const parser = parse({
    encoding: "latin1",
    raw: true,
    relax_column_count: true,
    record_delimiter: ["\r\n", "\n"],
    delimiter: separator,
    max_record_size: Math.max(longest, maker.maxRowBytes),
    on_record: (record: unknown) => {
      found.push(record as CsvRecord);
      return null;
    },
  });
  const table = new Table(separator, path, maker);
  const taken = async function* () {
    const all = found;
    found = [];
    for (const record of all) {
      yield* table.rows(record);
      if (slices.isOver) await slices.turn();
    }
  };
  try {
    for await (const _ of writing(withoutMark(chunks), parser)) yield* taken();
  } catch (cause) {
    yield* taken();
    throw cause instanceof CsvError ? table.fault(cause) : cause;
  }
}

/** The table as far as it has been read. */
class Table {
  readonly #separator: string;
  readonly #path: string;
  readonly #maker: RowMaker;
  #columns: string[] | null = null;
  /** Where the next row begins. */
  #line = 1;

  constructor(separator: string, path: string, maker: RowMaker) {
    this.#separator = separator;
    this.#path = path;
    this.#maker = maker;
  }

  /** The row that a record is; none for the first one and for empty lines. */
  *rows({ record, raw }: CsvRecord): Generator<Row> {
    const line = this.#line;
    this.#line += linesOf(raw);
    if (/^[\r\n]*$/u.test(raw)) return;
    const values = decoded(record, raw, line, this.#maker);
    if (this.#columns === null) this.#columns = namesOf(values, `${this.#path}:${line}`);
    else if (values !== null) yield* this.#row(this.#columns, values, line, raw);
  }

  *#row(columns: readonly string[], values: readonly string[], line: number, raw: string): Generator<Row> {
    const maker = this.#maker;
    const size = raw.replace(/\r?\n?$/u, "").length;
    if (!maker.isWithin(line, size)) return;
    if (values.length === columns.length)
      return yield* maker.row(Object.fromEntries(columns.map((name, index) => [name, values[index]])), line, size);
    const names = columns.length > 8 ? `${columns.slice(0, 8).join(", ")}, …` : columns.join(", ");
    const got = `${values.length}: ${excerpt(Buffer.from(raw, "latin1").toString("utf8"))}`;
    const advice = `put a value that holds ${signOf(this.#separator)} or a line break into double quotes`;
    maker.refuse(line, `expected ${columns.length} values (${names}), got ${got}; ${advice}`);
  }

  /** A fault in the quoting, in our words. */
  fault(error: CsvError): DataError {
    const end = `${signOf(this.#separator)} or the end of the line`;
    const said: Readonly<Record<string, string>> = {
      CSV_QUOTE_NOT_CLOSED: "expected a closing double quote, got the end of the file",
      CSV_INVALID_CLOSING_QUOTE: `expected ${end} after a closing double quote, got something else`,
      INVALID_OPENING_QUOTE: "expected a double quote at the beginning of a value only, got one inside it",
      CSV_MAX_RECORD_SIZE: "expected a closing double quote, got none within the largest row there may be",
    };
    const advice = "put the value into double quotes and write those inside it twice";
    const message = `${said[error.code] ?? `expected CSV, got ${error.message}`} (the row begins here); ${advice}`;
    return new DataError(`[${this.#path}:${this.#line}] ${message}`, { cause: error });
  }
}

/** Lines that a row takes. The parser keeps of a line end between rows the first character. */
function linesOf(raw: string): number {
  return raw.match(/\r\n|\n|\r$/gu)?.length ?? 0;
}

async function* withoutMark(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let first = true;
  for await (const chunk of chunks) {
    yield first && chunk.subarray(0, 3).equals(Buffer.from("\uFEFF")) ? chunk.subarray(3) : chunk;
    first = false;
  }
}

function decoded(record: readonly string[], raw: string, line: number, maker: RowMaker): string[] | null {
  // Most rows are ASCII.
  if (/^[\0-\x7f]*$/u.test(raw)) return [...record];
  if (maker.decode(Buffer.from(raw, "latin1"), line) === null) return null;
  return record.map((value) => Buffer.from(value, "latin1").toString("utf8"));
}

function namesOf(values: string[] | null, place: string): string[] {
  if (values === null)
    throw new DataError(
      `[${place}] expected the names of the columns in UTF-8, got other bytes; save the file as UTF-8`,
    );
  const twice = values.find((name, index) => values.indexOf(name) !== index);
  if (twice !== undefined)
    throw new DataError(
      `[${place}] expected every column once in the first line, got ${excerpt(twice)} twice; rename or remove one`,
    );
  return values;
}

function signOf(separator: string): string {
  return separator === "\t" ? "a tab" : `"${separator}"`;
}
