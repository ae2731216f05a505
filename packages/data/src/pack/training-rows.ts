// The rows that batches are made of: examples one by one, or several packed into one row.
import { IGNORE_INDEX } from "../encode/mask.ts";
import type { Example, Examples } from "../examples/example.ts";
import type { Packs, Piece } from "./packs.ts";

/** What is known of a row without its fields. */
export interface RowFacts {
  /** Tokens of its longest sequence. */
  length: number;
  /** Messages of its longest conversation. */
  turns: number;
  /** Tokens with a label, of all its sequences. */
  trainedTokens: number;
  /** Row of each of its sequences, counted before any row was dropped. */
  rowIds: number[];
}

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

  /**
   * What is known of a row, for an order of rows: of a packed row length and turns are those of its longest sequences, since it is as hard
   * as they are.
   */
  facts(row: number): RowFacts {
    const facts = { length: 0, turns: 0, trainedTokens: 0, rowIds: [] as number[] };
    for (const { length, turns, labels, rowId } of this.at(row)) {
      facts.length = Math.max(facts.length, length);
      facts.turns = Math.max(facts.turns, turns);
      facts.trainedTokens += labels.reduce((count, label) => (label === IGNORE_INDEX ? count : count + 1), 0);
      facts.rowIds.push(rowId);
    }
    return facts;
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
