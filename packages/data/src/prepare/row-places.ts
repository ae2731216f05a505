// Where the rows of a data set stand: a line of one of its files.
import type { Row } from "../sources/row.ts";

/** The places of rows, in a few bytes each. */
export class RowPlaces {
  readonly #sources = new Map<string, number>();
  readonly #sourceOf: number[] = [];
  readonly #lineOf: number[] = [];

  /** Rows so far. */
  get count(): number {
    return this.#lineOf.length;
  }

  /** Takes the next row in, and gives its number. */
  add({ source, line }: Row): number {
    const known = this.#sources.get(source) ?? this.#sources.size;
    this.#sources.set(source, known);
    this.#sourceOf.push(known);
    return this.#lineOf.push(line) - 1;
  }

  /** `source:line` of every row by its number. */
  finish(): (rowId: number) => string {
    const names = [...this.#sources.keys()];
    const sourceOf = Uint32Array.from(this.#sourceOf);
    const lineOf = Int32Array.from(this.#lineOf);
    return (rowId) => `${names[sourceOf[rowId] ?? 0]}:${lineOf[rowId]}`;
  }
}
