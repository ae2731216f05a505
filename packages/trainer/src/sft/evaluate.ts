// Evaluates a session on held-out examples.
import type { Generator } from "@tunesmith/core";
import { coalesce, collate, type Example } from "@tunesmith/data";
import { ratio, total } from "../loop/metrics.ts";
import { type EvalMetrics, type PassSums, sumsPerMicroBatch } from "./metrics.ts";

/** Loss, accuracy and entropy of a data set. Throws the signal's reason between two passes. */
export async function evaluate(
  session: Generator,
  examples: readonly Example[],
  { batchSize, tokenBudget, signal }: { batchSize: number; tokenBudget: number; signal?: AbortSignal },
): Promise<EvalMetrics> {
  const batches: Example[][] = [];
  for (let start = 0; start < examples.length; start += batchSize)
    batches.push(examples.slice(start, start + batchSize));
  const passes: PassSums[] = [];
  for (const placed of coalesce(batches, tokenBudget)) {
    signal?.throwIfAborted();
    passes.push({ placed, sums: await session.evaluate(collate(placed)) });
  }
  const sums = sumsPerMicroBatch(passes);
  const mean = (name: "loss" | "meanTokenAccuracy" | "entropy") => (batch: (typeof sums)[number]) =>
    ratio(batch.metrics[name].sum, batch.metrics[name].weight);
  return {
    evalLoss: total(sums, (batch) => mean("loss")(batch) * batch.rowIds.length) / examples.length,
    evalMeanTokenAccuracy: total(sums, mean("meanTokenAccuracy")) / sums.length,
    evalEntropy: total(sums, mean("entropy")) / sums.length,
  };
}
