// The gradient of one step of supervised fine-tuning.
import type { Objective, TrainSession } from "@tunesmith/core";
import { coalesce, type Example } from "@tunesmith/data";
import { ratio, total } from "../loop/metrics.ts";
import type { StepOutcome } from "../loop/recipe.ts";
import { collateWith, type DataCollator } from "./collator.ts";
import { type PassSums, type SFTMetrics, sumsPerMicroBatch } from "./metrics.ts";

/** One optimizer step. */
export interface StepInput {
  /** From 1. */
  step: number;
  microBatches: readonly (readonly Example[])[];
  tokenBudget: number;
  objective: Objective;
  seed: number;
  collator: DataCollator;
}

/**
 * Accumulates the micro-batches of a step. The gradient is the sum over all supervised tokens divided by their number, however they
 * are grouped.
 */
export async function accumulateStep(
  session: TrainSession,
  { step, microBatches, tokenBudget, objective, seed, collator }: StepInput,
): Promise<StepOutcome<SFTMetrics>> {
  const passes: PassSums[] = [];
  for (const placed of coalesce(microBatches, tokenBudget)) {
    const sums = await session.accumulate(collateWith(collator, placed), { objective, step, seed });
    passes.push({ placed, sums });
  }
  const outcomes = sumsPerMicroBatch(passes);
  const weight = total(outcomes, ({ metrics }) => metrics.loss.weight);
  const rows = passes.flatMap(({ placed, sums: { lossSum, weightSum } }) =>
    placed.map(({ example }, n) => ({ row: example.rowId, loss: ratio(lossSum[n] as number, weightSum[n] as number) })),
  );
  const badRows = passes.flatMap(({ placed, sums: { lossSum } }) =>
    placed.flatMap(({ example }, n) => (Number.isFinite(lossSum[n]) ? [] : [example.rowId])),
  );
  // Without a supervised token the gradient is zero: any denominator but 0 keeps it so.
  return { microBatches: outcomes, denominator: weight === 0 ? 1 : weight, badRows, rows };
}
