// Packed rows as positions: which tokens of which examples lie together.

/** A run of an example's tokens in a packed row. */
export interface Piece {
  /** Index of the example. */
  example: number;
  /** Its first token. */
  start: number;
  /** Tokens. */
  length: number;
}

/** Packed rows, in order. Three numbers a piece and no token. */
export class Packs {
  readonly #starts: Int32Array;
  readonly #numbers: Int32Array;

  constructor(rows: readonly (readonly Piece[])[]) {
    this.#starts = new Int32Array(rows.length + 1);
    for (const [n, row] of rows.entries()) this.#starts[n + 1] = (this.#starts[n] as number) + row.length;
    this.#numbers = new Int32Array(3 * (this.#starts[rows.length] as number));
    let at = 0;
    for (const { example, start, length } of rows.flat()) {
      this.#numbers.set([example, start, length], at);
      at += 3;
    }
  }

  /** Packed rows. */
  get length(): number {
    return this.#starts.length - 1;
  }

  /** The pieces of a packed row. */
  at(row: number): Piece[] {
    const [first = 0, end = 0] = this.#starts.subarray(row, row + 2);
    return Array.from({ length: end - first }, (_, n) => {
      const [example = 0, start = 0, length = 0] = this.#numbers.subarray(3 * (first + n), 3 * (first + n) + 3);
      return { example, start, length };
    });
  }
}
