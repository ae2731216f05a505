// How hard the model itself finds rows: what is measured of them, and the order that follows.

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
export function ranked(scores: Float32Array): Int32Array {
  // Both zeros are equal: a sum has the positive one.
  const comparable = scores.map((score) => (Number.isNaN(score) ? Number.NEGATIVE_INFINITY : score + 0));
  const bits = new Uint32Array(comparable.buffer);
  const keys = new BigUint64Array(scores.length);
  const words = new Uint32Array(keys.buffer);
  const [index, score] = isLittleEndian ? [0, 1] : [1, 0];
  for (const [n, word] of bits.entries()) {
    words[2 * n + index] = n;
    // As unsigned numbers the bits of floats are in the order of the floats once these are turned.
    words[2 * n + score] = word & sign ? ~word : word | sign;
  }
  // Without a function to compare by, a hundred thousand rows are sorted in well under 50 ms.
  keys.sort();
  return Int32Array.from({ length: scores.length }, (_, place) => words[2 * place + index] as number);
}

const sign = 0x80000000;
const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
