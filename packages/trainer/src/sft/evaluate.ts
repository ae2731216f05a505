// Evaluates a session on held-out examples.
import type { TrainSession } from "@tunesmith/core";
import { coalesce, collate, type Example } from "@tunesmith/data";
import { ratio, sumsPerMicroBatch, total } from "../loop/metrics.ts";

/** Result of one evaluation. */
export interface EvalMetrics {
  /** Row-weighted mean of the batches' means per trained token, in nats (Hugging Face's Trainer). */
  evalLoss: number;
  /** Unweighted mean over batches. */
  evalMeanTokenAccuracy: number;
  /** Unweighted mean over batches, in nats. */
  evalEntropy: number;
}

/** Loss, accuracy and entropy of a data set. Throws the signal's reason between two passes. */
export async function evaluate(
  session: TrainSession,
  examples: readonly Example[],
  { batchSize, tokenBudget, signal }: { batchSize: number; tokenBudget: number; signal?: AbortSignal },
): Promise<EvalMetrics> {
  const batches: Example[][] = [];
  for (let start = 0; start < examples.length; start += batchSize)
    batches.push(examples.slice(start, start + batchSize));
  const passes = [];
  for (const placed of coalesce(batches, tokenBudget)) {
    signal?.throwIfAborted();
    passes.push({ placed, sums: await session.evaluate(collate(placed)) });
  }
  const sums = sumsPerMicroBatch(passes);
  return {
    evalLoss: total(sums, (batch) => ratio(batch.lossSum, batch.weightSum) * batch.rows) / examples.length,
    evalMeanTokenAccuracy: total(sums, (batch) => ratio(batch.correct, batch.trained)) / sums.length,
    evalEntropy: total(sums, (batch) => ratio(batch.entropySum, batch.trained)) / sums.length,
  };
}
