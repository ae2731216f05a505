// What is known of the rows that an order is made of, and how hard they are.
import { ArgumentError, OptionError, slices, sortInSlices } from "@tunesmith/core";
import { isMeasured, type Measured, type MeasuredDifficulty } from "./measured.ts";
import { ascending } from "./philox.ts";

/**
 * What is known of a row. Its fields are not in memory any more: what a program knows of them it looks up by `rowIds`. A packed row has the
 * length and turns of its longest sequences, since one that holds only short ones is an easy row.
 */
export interface SamplerRow {
  /** Tokens of the longest sequence in it. */
  length: number;
  /** Messages of the longest conversation in it; 2 for a prompt and its completion, 1 for plain text. */
  turns: number;
  /** Tokens that are trained, of all its sequences. */
  trainedTokens: number;
  /** Indices of its rows in the data set, counted before any row was dropped: one, or those packed into it. */
  rowIds: readonly number[];
}

/** What an order may be made from. */
export interface SamplerContext {
  /** Tokens of each row. */
  lengths: ArrayLike<number>;
  /** The run's seed. */
  seed: number;
  /** Rows of an optimizer step; where `maxTokensPerBatch` limits it, as many as fit of mean length. */
  batchSize: number;
  /** Whether every step but an epoch's last has `batchSize` rows. */
  fixedBatches: boolean;
  /** What is known of a row, by its index from 0. */
  row(index: number): SamplerRow;
}

/**
 * What makes a row hard: its tokens, its turns, what the model finds of it, or the score that a program gives it. Higher is harder.
 */
export type Difficulty = "length" | "turns" | MeasuredDifficulty | ((row: SamplerRow) => number);

/** The rows from the easiest to the hardest, as far as the model has been asked. */
export interface Ranking {
  /** What the model is asked; undefined where nothing. */
  measures: MeasuredDifficulty | undefined;
  /** Indices of the rows, easiest first; of equal ones that of the data set's order first. */
  easiestFirst(measured: Measured | undefined): Int32Array;
}

/** The rows by a difficulty: known from now on, or once the model was asked. */
export async function rankingOf(context: SamplerContext, difficulty: Difficulty): Promise<Ranking> {
  if (!isMeasured(difficulty)) {
    const order = await easiestFirst(context, difficulty);
    return { measures: undefined, easiestFirst: () => order };
  }
  return {
    measures: difficulty,
    easiestFirst: (measured) => {
      if (measured !== undefined) return measured.easiestFirst;
      throw new ArgumentError(`[sampler] expected the ${difficulty} of rows, got none; measure them first`);
    },
  };
}

async function easiestFirst(
  { lengths, row }: SamplerContext,
  difficulty: Exclude<Difficulty, MeasuredDifficulty>,
): Promise<Int32Array> {
  const score = typeof difficulty === "function" ? difficulty : (facts: SamplerRow) => facts[difficulty];
  const scores = new Float64Array(lengths.length);
  for (let index = 0; index < lengths.length; index += 1) {
    const given = score(row(index));
    if (typeof given !== "number" || Number.isNaN(given))
      throw new OptionError(`[difficulty] expected a number for row ${index}, got ${given}; score every row`);
    scores[index] = given;
    if (slices.isOver) await slices.turn();
  }
  const order = ascending(scores.length);
  await sortInSlices(order, (a, b) => compare(scores[a] as number, scores[b] as number));
  return order;
}

/** Those of some rows that are taken, in their order. */
export async function picked(rows: Int32Array, takes: (row: number) => boolean): Promise<Int32Array> {
  const taken = new Int32Array(rows.length);
  let count = 0;
  await slices.each(rows.length, (from, to) => {
    for (let n = from; n < to; n += 1) {
      const row = rows[n] as number;
      if (takes(row)) taken[count++] = row;
    }
  });
  return taken.slice(0, count);
}

/** Infinite scores have no difference. */
function compare(a: number, b: number): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
