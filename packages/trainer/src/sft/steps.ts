// Carries out one optimizer step.
import type { TrainSession } from "@tunesmith/core";
import { coalesce, collate, type Example } from "@tunesmith/data";
import { type MicroBatchSums, ratio, sumsPerMicroBatch, total } from "../loop/metrics.ts";
import { type GroupRates, groupRates } from "../options/group-rates.ts";

/** One optimizer step. */
export interface StepInput {
  /** From 1. */
  step: number;
  microBatches: Example[][];
  /** Of the groups without a rate of their own. */
  learningRate: number;
  rates: GroupRates;
  maxGradNorm: number | null;
  tokenBudget: number;
  seed: number;
}

/** What came of it. */
export interface StepOutput {
  microBatches: MicroBatchSums[];
  /** Mean over the step's trained tokens, in nats. */
  loss: number;
  /** Before clipping. */
  gradNorm: number;
  /** False when gradient or loss is not finite. */
  finite: boolean;
  /** Rows whose loss is not finite. */
  badRows: number[];
}

/**
 * Accumulates the micro-batches of a step and updates the weights once. The gradient is the sum over all trained tokens
 * divided by their number, however they are grouped.
 */
export async function runStep(
  session: TrainSession,
  { step, microBatches, learningRate, rates, maxGradNorm, tokenBudget, seed }: StepInput,
): Promise<StepOutput> {
  const passes = [];
  for (const placed of coalesce(microBatches, tokenBudget)) {
    passes.push({
      placed,
      sums: await session.accumulate(collate(placed), { objective: { type: "nll" }, step, seed }),
    });
  }
  const sums = sumsPerMicroBatch(passes);
  const weight = total(sums, (entry) => entry.weightSum);
  const learningRates = groupRates(session.info, learningRate, rates);
  // Without a trained token the gradient is zero: any denominator but 0 keeps it so.
  const { gradNorm, applied } = await session.update({
    learningRates,
    maxGradNorm,
    denominator: weight === 0 ? 1 : weight,
  });
  const loss = ratio(
    total(sums, (entry) => entry.lossSum),
    weight,
  );
  const badRows = passes.flatMap(({ placed, sums: { lossSum } }) =>
    placed.flatMap(({ example }, n) => (Number.isFinite(lossSum[n]) ? [] : [example.rowId])),
  );
  return { microBatches: sums, loss, gradNorm, finite: applied && Number.isFinite(loss), badRows };
}
