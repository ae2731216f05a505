// How hard the model itself finds rows: what is measured of them, and the order that follows.
import { slices, sortInSlices } from "@tunesmith/core";

/** What the model is asked of a row. */
export const measuredDifficulties = ["loss", "ifd"] as const;

/**
 * What the model is asked of a row. `loss`: the mean loss of its trained tokens, in nats (loss-based and self-paced curricula; Kumar et al.,
 * NIPS 2010). `ifd`: instruction-following difficulty, the loss of its answers with their prompts over the loss without (Li et al.,
 * arXiv:2308.12032). Higher is harder.
 */
export type MeasuredDifficulty = (typeof measuredDifficulties)[number];

/** What the model says of the trained tokens of a row: Σ weight · loss in nats, and Σ weight. */
export interface LossSums {
  loss: number;
  weight: number;
}

/** How hard the model finds the rows of a run, and where in an epoch it was asked. */
export interface Measured {
  /** Of each row; higher is harder: `[rows]`. */
  scores: Float32Array;
  /** Indices of the rows, easiest first: `[rows]`. */
  easiestFirst: Int32Array;
  /** Rows that the epoch had given before it was asked: they keep the first places, and whatever else is given for these counts for nothing. */
  taken: Int32Array;
}

/** Whether a difficulty is one that only the model knows. */
export function isMeasured(difficulty: unknown): difficulty is MeasuredDifficulty {
  return measuredDifficulties.includes(difficulty as MeasuredDifficulty);
}

/**
 * How hard a row is.
 *
 * @param whole its trained tokens as they are trained, after all that comes before them
 * @param alone `ifd`: the same tokens without what else is in the row; the first of them is predicted from nothing, so it is not counted
 * @returns NaN for a row that has nothing to measure: no trained token, or `ifd` for an answer of one token
 */
export function difficultyOf(difficulty: MeasuredDifficulty, whole: LossSums, alone: LossSums): number {
  if (whole.weight === 0 || (difficulty === "ifd" && alone.weight === 0)) return Number.NaN;
  const loss = whole.loss / whole.weight;
  const score = difficulty === "loss" ? loss : loss / (alone.loss / alone.weight);
  // Where the model itself is lost, the row is as hard as can be.
  return Number.isNaN(score) ? Number.POSITIVE_INFINITY : score;
}

/** Indices of the rows by their scores, easiest first; of equal ones that of the data set's order first, and those without a score before all. */
export async function ranked(scores: Float32Array): Promise<Int32Array> {
  const [comparable, order] = [new Float32Array(scores.length), new Int32Array(scores.length)];
  await slices.each(scores.length, (from, to) => {
    for (let row = from; row < to; row += 1) {
      const score = scores[row] as number;
      comparable[row] = Number.isNaN(score) ? Number.NEGATIVE_INFINITY : score;
      order[row] = row;
    }
  });
  // Equal infinities differ by NaN.
  await sortInSlices(order, (a, b) => (comparable[a] as number) - (comparable[b] as number) || a - b);
  return order;
}
