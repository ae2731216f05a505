// The rows that batches are made of: examples one by one, or several packed into one row.
import type { Example, Examples } from "../examples/example.ts";
import type { Packs, Piece } from "./packs.ts";

/** What batches are made of. A row is an example, or several in a packed row; its tokens are read when it is asked for. */
export class TrainingRows {
  /** How many. */
  readonly length: number;
  /** Tokens of each: `[length]`. */
  readonly lengths: Int32Array;
  readonly #examples: Examples;
  readonly #packs: Packs | null;

  /** @param packs null: every example is a row */
  constructor(examples: Examples, packs: Packs | null = null) {
    this.#examples = examples;
    this.#packs = packs;
    this.length = packs === null ? examples.length : packs.length;
    this.lengths = packs === null ? examples.lengths : packs.lengths();
  }

  /** Where the sequences of a row lie. */
  pieces(row: number): readonly Piece[] {
    if (this.#packs !== null) return this.#packs.at(row);
    return [{ example: row, start: 0, length: this.lengths[row] as number }];
  }

  /** The sequences of a row. Attention never crosses from one to the next, in one row or in several. */
  at(row: number): Example[] {
    return this.pieces(row).map((piece) => cut(this.#examples.at(piece.example), piece));
  }
}

/** A run of an example's tokens as an example of its own; its first token is predicted from nothing. */
export function cut<T extends Example>(example: T, { start, length }: Piece): T {
  if (length === example.length) return example;
  const { ids, labels, weights } = example;
  const end = start + length;
  return {
    ...example,
    ids: ids.subarray(start, end),
    labels: labels.subarray(start, end),
    ...(weights !== undefined && { weights: weights.subarray(start, end) }),
    length,
    truncated: true,
  };
}
