// Packed rows as positions: which tokens of which examples lie together.
import { slices } from "@tunesmith/core";
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
export interface Pieces {
  /** Example of each: `[count]`. */
  examples: Int32Array;
  /** First token of each, in its example: `[count]`. */
  starts: Int32Array;
  /** Tokens of each: `[count]`. */
  lengths: Int32Array;
}

/** Pieces that are added one after another. */
export class PieceBuilder {
  readonly #examples = new Growing(new Int32Array());
  readonly #starts = new Growing(new Int32Array());
  readonly #lengths = new Growing(new Int32Array());

  /** Adds one. */
  add(example: number, start: number, length: number): void {
    this.#examples.push(example);
    this.#starts.push(start);
    this.#lengths.push(length);
  }

  /** What has been added, taken out of here. */
  async finish(): Promise<Pieces> {
    const [examples, starts] = [await this.#examples.finish(), await this.#starts.finish()];
    return { examples, starts, lengths: await this.#lengths.finish() };
  }
}

/** Rows that pieces are put into, in any order; in a row they keep the order in which they came. */
export class PackBuilder {
  readonly #pieces = new PieceBuilder();
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
    this.#pieces.add(example, start, length);
  }

  /** The rows, taken out of here, and the pieces in them. The event loop turns in between. */
  async finish(): Promise<{ packs: Packs; pieces: Pieces }> {
    const [pieces, rows] = [await this.#pieces.finish(), await this.#rows.finish()];
    const firsts = new Int32Array(this.#count + 1);
    await slices.each(rows.length, (from, to) => {
      for (let n = from; n < to; n += 1) add(firsts, (rows[n] as number) + 1, 1);
    });
    await slices.each(this.#count, (from, to) => {
      for (let row = from; row < to; row += 1) add(firsts, row + 1, firsts[row] as number);
    });
    const order = new Int32Array(rows.length);
    const next = firsts.slice();
    await slices.each(rows.length, (from, to) => {
      for (let n = from; n < to; n += 1) {
        const row = rows[n] as number;
        order[next[row] as number] = n;
        add(next, row, 1);
      }
    });
    return { packs: new Packs(pieces, firsts, order), pieces };
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
