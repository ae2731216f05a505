// The learning rate of each step.
import { OptionError, type ParsedSFTConfig } from "@tunesmith/core";

/** Shape of the learning rate over the run. */
export interface Schedule {
  type: ParsedSFTConfig["lrSchedulerType"];
  /** Peak. */
  learningRate: number;
  /** Steps of warm-up, already counted. */
  warmupSteps: number;
  totalSteps: number;
}

/**
 * Learning rate used by a step, from 1 on: the formulas of transformers' `get_scheduler`, which gives step n the factor of
 * index n − 1, so that with warm-up the first step has rate 0.
 */
export function learningRateAt(step: number, { type, learningRate, warmupSteps, totalSteps }: Schedule): number {
  const index = step - 1;
  if (type !== "constant" && index < warmupSteps) return (learningRate * index) / Math.max(1, warmupSteps);
  const progress = (index - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
  switch (type) {
    case "linear":
      return learningRate * Math.max(0, 1 - progress);
    case "cosine":
      return learningRate * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
    case "constant":
    case "constant_with_warmup":
      return learningRate;
  }
}

/** Steps of warm-up: a value below 1 is a share of all steps, rounded up (transformers). */
export function countWarmupSteps(warmupSteps: number, totalSteps: number): number {
  if (warmupSteps < 1) return Math.ceil(totalSteps * warmupSteps);
  if (!Number.isInteger(warmupSteps))
    throw new OptionError(
      `[warmupSteps] expected a whole number of steps or a share below 1, got ${warmupSteps}; round it`,
    );
  return warmupSteps;
}
