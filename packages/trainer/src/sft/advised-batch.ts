// How many rows a step of a run should have, beside what is already decided of it.
import type { SFTConfig } from "@tunesmith/core";

/** What decides a batch. */
export interface BatchSetting {
  /** Rows of a pass, packed ones where rows are packed. */
  rows: number;
  /** Passes. */
  epochs: number;
  /** Tokens of a row at most, and on average. */
  tokens: { most: number; mean: number };
}

/** Options of a batch that are set. */
export type SetBatch = Pick<SFTConfig, "perDeviceTrainBatchSize" | "gradientAccumulationSteps" | "maxTokensPerBatch">;

/** Steps that a run should have at least, as far as its rows suffice: each is one lesson. */
const steps = 100;
/** Rows of an optimizer step, at least and at most. */
const batch = { least: 2, most: 32 };
/** Tokens of a micro-batch, and its rows at most (TrainingArguments' default). */
const microBatch = { tokens: 4096, rows: 8 };

/** Rows of a micro-batch and micro-batches of a step; of what is set the one follows from the other. */
export function batchFor({ rows, epochs, tokens }: BatchSetting, set: SetBatch) {
  const { maxTokensPerBatch: limit = null } = set;
  const wanted = Math.min(batch.most, Math.max(batch.least, powerBelow((rows * epochs) / steps)));
  const fitting = Math.min(microBatch.rows, Math.max(1, powerBelow(microBatch.tokens / tokens.most)));
  const left = Math.max(1, powerBelow(wanted / (set.gradientAccumulationSteps ?? 1)));
  const perDeviceTrainBatchSize = set.perDeviceTrainBatchSize ?? Math.min(left, fitting);
  const ofMicroBatch = limit === null ? perDeviceTrainBatchSize : Math.max(1, Math.floor(limit / tokens.mean));
  const gradientAccumulationSteps = set.gradientAccumulationSteps ?? Math.max(1, Math.round(wanted / ofMicroBatch));
  return { perDeviceTrainBatchSize, gradientAccumulationSteps, ofStep: ofMicroBatch * gradientAccumulationSteps };
}

/** The largest power of two that is not above a number; 0 below 1. */
function powerBelow(value: number): number {
  return value < 1 ? 0 : 2 ** Math.floor(Math.log2(value));
}
