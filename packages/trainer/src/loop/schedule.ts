// The learning rate of each step.
import { OptionError, type ParsedTrainingArguments } from "@tunesmith/core";
import type { Settled } from "../options/resolved.ts";

type SchedulerType = ParsedTrainingArguments["lrSchedulerType"];

/** Shape of the learning rate over the run. */
export interface Schedule {
  type: SchedulerType;
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

/** Whether the length of a run decides the learning rates of its steps, so that a run cannot be made longer when it is resumed. */
export function dependsOnLength(type: SchedulerType, warmupSteps: number): boolean {
  // A share of all steps.
  if (warmupSteps > 0 && warmupSteps < 1) return true;
  switch (type) {
    case "linear":
    case "cosine":
      return true;
    case "constant":
    case "constant_with_warmup":
      return false;
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

/** The schedule that options ask for. */
export function scheduleOf(args: Settled, totalSteps: number): Schedule {
  const { lrSchedulerType: type, learningRate } = args;
  return { type, learningRate, warmupSteps: countWarmupSteps(args.warmupSteps, totalSteps), totalSteps };
}
