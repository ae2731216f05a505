// Rows of a row group of Parquet, put together a few at a time, so that the event loop turns in between: writers put up to a million rows
// into a group, and the library would make all of them in one turn.
import {
  type AsyncBuffer,
  type DecodedArray,
  type FileMetaData,
  parquetSchema,
  type RowGroup,
  type SchemaTree,
} from "hyparquet";
import { assembleNested } from "hyparquet/src/assemble.js";
import { columnValues, type Decoding } from "./parquet-column.ts";

/** Rows that are put together at once. */
const part = 64;

/** The rows of a group whose pages were checked, as objects of the columns' values. All its columns are in memory until the last. */
export async function* groupRows(
  file: AsyncBuffer,
  { columns, num_rows: count }: RowGroup,
  metadata: FileMetaData,
  decoding: Decoding,
): AsyncGenerator<Record<string, unknown>> {
  const tree = parquetSchema(metadata);
  const rows = Number(count);
  const leaves = new Map<string, Leaf>();
  for (const { meta_data: column } of columns) {
    if (column === undefined || rows === 0) continue;
    const leaf = new Leaf(await columnValues(file, column, tree, decoding));
    const name = column.path_in_schema.join(".");
    if (leaf.length !== rows)
      throw new RangeError(`${leaf.length} rows of the column ${name} in a row group of ${rows}`);
    leaves.set(name, leaf);
  }
  for (let row = 0; row < rows; row += part) {
    const size = Math.min(part, rows - row);
    const values = tree.children.map((child) => [child.element.name, valuesOf(child, leaves, size, decoding)] as const);
    for (let n = 0; n < size; n += 1) yield Object.fromEntries(values.map(([name, column]) => [name, column[n]]));
  }
}

/** The next values of a column of the table; lists, maps and structs are put together of several in the file. */
function valuesOf(
  child: SchemaTree,
  leaves: ReadonlyMap<string, Leaf>,
  size: number,
  { parsers }: Decoding,
): unknown[] {
  const name = child.path.join(".");
  const flat = leaves.get(name);
  if (flat !== undefined && child.children.length === 0) return flat.take(size);
  const inner = [...leaves].filter(([path]) => path.startsWith(`${name}.`));
  const values = new Map<string, DecodedArray>(inner.map(([path, leaf]) => [path, leaf.take(size)]));
  assembleNested(values, child, parsers);
  return [...(values.get(name) ?? [])];
}

/** A column of the file, from which rows are taken in order. */
class Leaf {
  readonly length: number;
  readonly #pieces: DecodedArray[];
  #place = 0;

  constructor(pieces: DecodedArray[]) {
    this.#pieces = pieces;
    this.length = pieces.reduce((sum, { length }) => sum + length, 0);
  }

  /** The next values, as many as are asked for; no more may be than are left. */
  take(count: number): unknown[] {
    const taken: unknown[] = [];
    for (let [piece] = this.#pieces; piece !== undefined && taken.length < count; [piece] = this.#pieces) {
      const end = Math.min(piece.length, this.#place + count - taken.length);
      taken.push(...piece.slice(this.#place, end));
      this.#place = end;
      if (end < piece.length) break;
      this.#pieces.shift();
      this.#place = 0;
    }
    return taken;
  }
}
