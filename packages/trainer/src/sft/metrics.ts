// The metrics of supervised fine-tuning.
import type { SequenceSums } from "@tunesmith/core";
import type { Placed } from "@tunesmith/data";
import type { DeclaredMetrics, Metrics } from "../loop/metrics.ts";
import type { MicroBatchOutcome } from "../loop/recipe.ts";

/** The metrics of supervised fine-tuning (names of TRL's SFTTrainer in camelCase). */
export interface SFTMetrics extends Metrics {
  log: {
    /** Mean over the supervised tokens since the last log line, in nats. */
    loss: number;
    /** Share of supervised tokens whose label is the largest logit: unweighted mean over micro-batches. */
    meanTokenAccuracy: number;
    /** Of the predicted distribution, in nats: unweighted mean over micro-batches. */
    entropy: number;
  };
  eval: EvalMetrics;
}

/** Result of one evaluation. */
export interface EvalMetrics {
  /** Row-weighted mean of the batches' means per supervised token, in nats (Hugging Face's Trainer). */
  evalLoss: number;
  /** Unweighted mean over batches. */
  evalMeanTokenAccuracy: number;
  /** Unweighted mean over batches, in nats. */
  evalEntropy: number;
}

/** How they come about. */
export const sftMetrics: DeclaredMetrics<SFTMetrics> = {
  log: { loss: "ratio", meanTokenAccuracy: "mean", entropy: "mean" },
  eval: { evalLoss: "lower", evalMeanTokenAccuracy: "higher", evalEntropy: null },
};

/** The sums of one packed pass, by sequence. */
export interface PassSums {
  placed: readonly Placed[];
  sums: SequenceSums;
}

/**
 * Sums per micro-batch out of the sums per sequence. Sequences are added in order, so that the grouping into passes changes no
 * bit of a metric.
 */
export function sumsPerMicroBatch(
  passes: readonly PassSums[],
): (MicroBatchOutcome<SFTMetrics> & { rowIds: number[] })[] {
  const result: ReturnType<typeof emptySums>[] = [];
  for (const { placed, sums } of passes) {
    for (const [n, { example, microBatch }] of placed.entries()) {
      const entry = result[microBatch] ?? emptySums();
      result[microBatch] = entry;
      entry.rowIds.push(example.rowId);
      entry.tokens += example.length;
      const { loss, meanTokenAccuracy, entropy } = entry.metrics;
      const supervised = sums.tokens[n] as number;
      loss.sum += sums.lossSum[n] as number;
      loss.weight += sums.weightSum[n] as number;
      meanTokenAccuracy.sum += sums.correct[n] as number;
      meanTokenAccuracy.weight += supervised;
      entropy.sum += sums.entropySum[n] as number;
      entropy.weight += supervised;
    }
  }
  return result;
}

function emptySums() {
  const zero = () => ({ sum: 0, weight: 0 });
  return { rowIds: [] as number[], tokens: 0, metrics: { loss: zero(), meanTokenAccuracy: zero(), entropy: zero() } };
}
