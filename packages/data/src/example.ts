// One sequence ready for training.

/** One sequence ready for training. Arrays are not padded and not shifted. */
export interface Example {
  /** Token ids: `[length]`. */
  ids: Int32Array;
  /** Label per token: the id itself, or the ignored label of `mask.ts`: `[length]`. */
  labels: Int32Array;
  /** Messages of the conversation; 2 for a prompt and its completion, 1 for plain text. */
  turns: number;
  /** Tokens. */
  length: number;
  /** Index of its row in the data set, counted before any row was dropped. */
  rowId: number;
  /** True when tokens beyond `maxLength` were cut off. */
  truncated: boolean;
}
