// Cuts rows into micro-batches, by their number or by their tokens.
import type { ParsedTrainingArguments } from "@tunesmith/core";

/** What a micro-batch may hold. */
export interface BatchLimit {
  rows: number;
  /** Tokens of its rows together; a longer row is alone. */
  tokens: number;
}

/** The limit that options ask for: rows, or in their place tokens. */
export function batchLimit({
  perDeviceTrainBatchSize,
  maxTokensPerBatch,
}: Pick<ParsedTrainingArguments, "perDeviceTrainBatchSize" | "maxTokensPerBatch">): BatchLimit {
  if (maxTokensPerBatch === null) return { rows: perDeviceTrainBatchSize, tokens: Number.POSITIVE_INFINITY };
  return { rows: Number.POSITIVE_INFINITY, tokens: maxTokensPerBatch };
}

/** Rows of a micro-batch; where tokens limit it, as many as fit of mean length. */
export function rowsPerBatch({ rows, tokens }: BatchLimit, lengths: ArrayLike<number>): number {
  let total = 0;
  for (let n = 0; n < lengths.length; n += 1) total += lengths[n] as number;
  return Math.max(1, Math.min(rows, Math.floor((tokens * lengths.length) / total)));
}

/** The room of the micro-batch that rows go into, one after another. */
export class BatchRoom {
  readonly #limit: BatchLimit;
  /** None: the first row fits into no micro-batch before it. */
  #rows: number | null = null;
  #tokens = 0;

  constructor(limit: BatchLimit) {
    this.#limit = limit;
  }

  /** Takes a row in. True where it begins another micro-batch: the first does. */
  begins(tokens: number): boolean {
    const { rows, tokens: most } = this.#limit;
    if (this.#rows !== null && this.#rows < rows && this.#tokens + tokens <= most) {
      this.#rows += 1;
      this.#tokens += tokens;
      return false;
    }
    this.#rows = 1;
    this.#tokens = tokens;
    return true;
  }
}
