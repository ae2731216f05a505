// From sums per sequence to the numbers of a log line.
import type { RowSums } from "@tunesmith/core";
import type { Placed } from "@tunesmith/data";

/** Sums over the sequences of one micro-batch. */
export interface MicroBatchSums {
  rows: number;
  /** Tokens, prompts included. */
  tokens: number;
  lossSum: number;
  weightSum: number;
  trained: number;
  correct: number;
  entropySum: number;
}

function emptySums(): MicroBatchSums {
  return { rows: 0, tokens: 0, lossSum: 0, weightSum: 0, trained: 0, correct: 0, entropySum: 0 };
}

/**
 * Sums per micro-batch out of the sums per sequence. Sequences are added in order, so that the grouping into passes changes no
 * bit of a metric.
 */
export function sumsPerMicroBatch(passes: readonly { placed: readonly Placed[]; sums: RowSums }[]): MicroBatchSums[] {
  const result: MicroBatchSums[] = [];
  for (const { placed, sums } of passes) {
    for (const [n, { example, microBatch }] of placed.entries()) {
      const entry = result[microBatch] ?? emptySums();
      result[microBatch] = entry;
      entry.rows += 1;
      entry.tokens += example.length;
      entry.lossSum += sums.lossSum[n] as number;
      entry.weightSum += sums.weightSum[n] as number;
      entry.trained += sums.tokens[n] as number;
      entry.correct += sums.correct[n] as number;
      entry.entropySum += sums.entropySum[n] as number;
    }
  }
  return result;
}

/** a / b, where nothing over nothing is 0: a micro-batch without a trained token has loss 0. */
export function ratio(a: number, b: number): number {
  return b === 0 ? 0 : a / b;
}

/** Sum of one number over a list. */
export function total<T>(list: readonly T[], pick: (entry: T) => number): number {
  return list.reduce((sum, entry) => sum + pick(entry), 0);
}

/** What is remembered between two log lines. Plain numbers: it is part of a checkpoint. */
export interface LogSums {
  lossSum: number;
  weightSum: number;
  /** Σ over micro-batches of their mean accuracy and mean entropy. */
  accuracy: number;
  entropy: number;
  microBatches: number;
}

/** Sums before the first step of a log line. */
export function emptyLogSums(): LogSums {
  return { lossSum: 0, weightSum: 0, accuracy: 0, entropy: 0, microBatches: 0 };
}

/** Adds the micro-batches of one step. */
export function addToLog(log: LogSums, microBatches: readonly MicroBatchSums[]): void {
  for (const entry of microBatches) {
    log.lossSum += entry.lossSum;
    log.weightSum += entry.weightSum;
    log.accuracy += ratio(entry.correct, entry.trained);
    log.entropy += ratio(entry.entropySum, entry.trained);
    log.microBatches += 1;
  }
}

/** Means of a log line: the loss per trained token, accuracy and entropy as the unweighted mean over micro-batches (TRL). */
export function meansOf(log: LogSums): { loss: number; meanTokenAccuracy: number; entropy: number } {
  return {
    loss: ratio(log.lossSum, log.weightSum),
    meanTokenAccuracy: ratio(log.accuracy, log.microBatches),
    entropy: ratio(log.entropy, log.microBatches),
  };
}
