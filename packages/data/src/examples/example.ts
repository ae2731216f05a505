// One sequence ready for training, and many of them.

/** One sequence ready for training. Arrays are not padded and not shifted. */
export interface Example {
  /** Token ids: `[length]`. */
  ids: Int32Array;
  /** Label per token: the id itself, or the ignored label of `mask.ts`: `[length]`. */
  labels: Int32Array;
  /** Loss weight per token: `[length]`; 1 everywhere when absent. */
  weights?: Float32Array;
  /** Messages of the conversation; 2 for a prompt and its completion, 1 for plain text. */
  turns: number;
  /** Tokens. */
  length: number;
  /** Index of its row in the data set, counted before any row was dropped. */
  rowId: number;
  /** True when tokens beyond `maxLength` were cut off. */
  truncated: boolean;
}

/** The examples of a data set, in the order of their rows. Their tokens lie in one place, an {@link Example} is made when it is asked for. */
export interface Examples extends Iterable<Example> {
  /** How many. */
  readonly length: number;
  /** Tokens of each: `[length]`. */
  readonly lengths: Int32Array;
  /** One of them, by its index from 0. */
  at(index: number): Example;
}
