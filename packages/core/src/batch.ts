// What goes through door B and what comes back: packed sequences, and sums for each of them.

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
export interface RowSums {
  /** Σ weight · negative log-likelihood, in nats. */
  lossSum: Float64Array;
  /** Σ weight over trained tokens: the count when no weights were given. */
  weightSum: Float64Array;
  /** Trained tokens (label not ignored, position 0 never counting). */
  tokens: Int32Array;
  /** Trained tokens whose label is the largest logit. */
  correct: Int32Array;
  /** Σ entropy of the predicted distribution over trained tokens, in nats. */
  entropySum: Float64Array;
}
