// Packed rows as positions: which tokens of which examples lie together.
import { Growing } from "../examples/growing.ts";

/** A run of an example's tokens in a packed row. */
export interface Piece {
  /** Index of the example. */
  example: number;
  /** Its first token. */
  start: number;
  /** Tokens. */
  length: number;
}

/** Runs of examples' tokens, one after another: three numbers each. */
export class Pieces {
  readonly #examples = new Growing(new Int32Array());
  readonly #starts = new Growing(new Int32Array());
  readonly #lengths = new Growing(new Int32Array());

  /** How many. */
  get count(): number {
    return this.#lengths.length;
  }

  /** Example of each: `[count]`. */
  get examples(): Int32Array {
    return this.#examples.values;
  }

  /** First token of each, in its example: `[count]`. */
  get starts(): Int32Array {
    return this.#starts.values;
  }

  /** Tokens of each: `[count]`. */
  get lengths(): Int32Array {
    return this.#lengths.values;
  }

  /** Adds one. */
  add(example: number, start: number, length: number): void {
    this.#examples.push(example);
    this.#starts.push(start);
    this.#lengths.push(length);
  }
}

/** Rows that pieces are put into, in any order; in a row they keep the order in which they came. */
export class PackBuilder {
  readonly pieces = new Pieces();
  readonly #rows = new Growing(new Int32Array());
  #count = 0;

  /** Rows that have been begun. */
  get rows(): number {
    return this.#count;
  }

  /** Begins a row and gives its number. */
  open(): number {
    this.#count += 1;
    return this.#count - 1;
  }

  /** Puts a piece into a row. */
  place(row: number, example: number, start: number, length: number): void {
    this.#rows.push(row);
    this.pieces.add(example, start, length);
  }

  /** The rows. */
  finish(): Packs {
    const rows = this.#rows.values;
    const firsts = new Int32Array(this.#count + 1);
    for (let n = 0; n < rows.length; n += 1) add(firsts, (rows[n] as number) + 1, 1);
    for (let row = 0; row < this.#count; row += 1) add(firsts, row + 1, firsts[row] as number);
    const order = new Int32Array(rows.length);
    const next = firsts.slice();
    for (let n = 0; n < rows.length; n += 1) {
      const row = rows[n] as number;
      order[next[row] as number] = n;
      add(next, row, 1);
    }
    return new Packs(this.pieces, firsts, order);
  }
}

/** Packed rows, in order. Positions, and no token. */
export class Packs {
  readonly #pieces: Pieces;
  /** First piece of each row, and the number of all, in `order`. */
  readonly #firsts: Int32Array;
  readonly #order: Int32Array;

  /** @internal {@link PackBuilder} makes them. */
  constructor(pieces: Pieces, firsts: Int32Array, order: Int32Array) {
    this.#pieces = pieces;
    this.#firsts = firsts;
    this.#order = order;
  }

  /** Packed rows. */
  get length(): number {
    return this.#firsts.length - 1;
  }

  /** Tokens of each row: `[length]`. */
  lengths(): Int32Array {
    const { lengths } = this.#pieces;
    const sums = new Int32Array(this.length);
    for (let row = 0; row < sums.length; row += 1)
      for (let at = this.#firsts[row] as number; at < (this.#firsts[row + 1] as number); at += 1)
        add(sums, row, lengths[this.#order[at] as number] as number);
    return sums;
  }

  /** The pieces of a packed row. */
  at(row: number): Piece[] {
    const { examples, starts, lengths } = this.#pieces;
    const pieces = this.#order.subarray(this.#firsts[row], this.#firsts[row + 1]);
    return Array.from(pieces, (n) => ({
      example: examples[n] as number,
      start: starts[n] as number,
      length: lengths[n] as number,
    }));
  }
}

function add(numbers: Int32Array, at: number, more: number): void {
  numbers[at] = (numbers[at] as number) + more;
}
