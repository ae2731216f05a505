// What goes through door B and what comes back: packed sequences, sums for each of them, values of each supervised token.

/** The label of a token that is not trained on is decided by `@tunesmith/data`; here it only travels. */
export interface Batch {
  /** Token ids of all sequences, end to end: `[T]`. Padding does not exist. */
  inputIds: Int32Array;
  /** Label per token, not shifted: position t of a sequence is predicted from position t − 1: `[T]`. */
  labels: Int32Array;
  /** Position of each token in its sequence, from 0: `[T]`. */
  positions: Int32Array;
  /** First token of each sequence, and T at the end: `[n + 1]`. */
  sequenceStarts: Int32Array;
  /** Loss weight per label: `[T]`; 1 when absent. */
  weights?: Float32Array;
  /** Which micro-batch of the step each sequence belongs to: `[n]`. Metrics only; the gradient is a sum. */
  microBatch: Int32Array;
  /** Row of the data set each sequence comes from: `[n]`. Keys the random numbers and names rows in errors. */
  rowIds: Int32Array;
}

/** Sums and counts per sequence: `[n]` each. Means are made in TypeScript, so every grouping gives the same metric. */
export interface SequenceSums {
  /** Σ weight · loss of the objective over supervised tokens, in nats. */
  lossSum: Float64Array;
  /** Σ weight over supervised tokens: the count when no weights were given. */
  weightSum: Float64Array;
  /** Supervised tokens (label not ignored, position 0 never counting). */
  tokens: Int32Array;
  /** Supervised tokens whose label is the largest logit. */
  correct: Int32Array;
  /** Σ entropy of the predicted distribution over supervised tokens, in nats. */
  entropySum: Float64Array;
}

/** Values of a token that are computed only where they are asked for. */
export type TokenValueName = "logSumSquares" | "meanLogit";

/** What values of tokens are asked for. */
export interface TokenValueOptions {
  /** Values besides those that there always are. Default: none. */
  values?: readonly TokenValueName[];
  /** The logits are divided by it, above 0, before the softmax: every value is of the distribution at that temperature. Default 1. */
  temperature?: number;
}

/**
 * What a model says about each supervised token, `[T]` each and aligned with the batch's labels: entry t is about the label at t, and 0
 * where there is none. z are the logits that predict it, p their softmax, in nats; the batch's weights play no part.
 */
export interface TokenValues {
  /** log p of the label. */
  logProb: Float32Array;
  /** −Σ p · log p. */
  entropy: Float32Array;
  /** log Σ exp z. */
  logSumExp: Float32Array;
  /** Mean of log p over the vocabulary. */
  meanLogProb: Float32Array;
  /** 1 where the label is the largest logit. */
  hit: Uint8Array;
  /** log Σ p²: on demand. */
  logSumSquares?: Float32Array;
  /** Mean of z over the vocabulary: on demand. */
  meanLogit?: Float32Array;
}

/**
 * The derivative of a loss with respect to each of a token's values: `[T]` each, aligned with the labels. Absent is 0, and entries
 * without a label count for nothing.
 */
export interface Coefficients {
  /** ∂loss / ∂logProb. */
  logProb?: Float32Array;
  /** ∂loss / ∂entropy. */
  entropy?: Float32Array;
  /** ∂loss / ∂logSumExp. */
  logSumExp?: Float32Array;
  /** ∂loss / ∂meanLogProb. */
  meanLogProb?: Float32Array;
}
