// The share of its peak that a learning rate has at each step: the formulas of transformers' schedules, in the order of their operations.
import { hasWarmup, type SchedulerOptions } from "@tunesmith/core";

/** What a shape is drawn over. */
export interface Span {
  /** Peak of the run; other groups have the same shape at their own. */
  learningRate: number;
  /** Steps of warm-up, already counted. */
  warmupSteps: number;
  totalSteps: number;
}

/**
 * Share of the peak at a step, from 0 on. Schedules that watch a metric have 1: they change their rates themselves, after evaluations.
 */
export function shapeAt(step: number, options: SchedulerOptions, span: Span): number {
  const { warmupSteps, totalSteps } = span;
  if (options.type === "warmup_stable_decay") return stableDecayAt(step, options, span);
  if (options.type === "cosine_warmup_with_min_lr") return raisedCosineAt(step, options, span);
  if (hasWarmup(options.type) && step < warmupSteps) return step / Math.max(1, warmupSteps);
  const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
  switch (options.type) {
    case "linear":
      return Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps));
    case "cosine":
      return Math.max(0, waveAt(progress, options.numCycles));
    case "cosine_with_restarts":
      return progress >= 1 ? 0 : 0.5 * (1 + Math.cos(Math.PI * ((options.numCycles * progress) % 1)));
    case "polynomial":
      return polynomialAt(step, options, span);
    case "inverse_sqrt": {
      const timescale = options.timescale ?? (warmupSteps || 10_000);
      return 1 / Math.sqrt((step + (timescale - warmupSteps)) / timescale);
    }
    case "cosine_with_min_lr":
      return Math.max(0, above(lowestShare(options, span), waveAt(progress, options.numCycles)));
    default:
      return 1;
  }
}

/** From 1 down a cosine of so many waves. */
function waveAt(progress: number, cycles: number): number {
  return 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress));
}

/** A share between 0 and 1, put between the lowest one and 1. */
function above(lowest: number, share: number): number {
  return share * (1 - lowest) + lowest;
}

type Of<T extends SchedulerOptions["type"]> = Extract<SchedulerOptions, { type: T }>;

function lowestShare(
  { minLr, minLrRate }: Of<"cosine_with_min_lr" | "cosine_warmup_with_min_lr">,
  { learningRate }: Span,
): number {
  return minLrRate ?? (learningRate === 0 ? 0 : (minLr ?? 0) / learningRate);
}

/** Its warm-up ends at the peak and its cosine one step further than that of `cosine_with_min_lr`. */
function raisedCosineAt(step: number, options: Of<"cosine_warmup_with_min_lr">, span: Span): number {
  const { warmupSteps, totalSteps } = span;
  const { numCycles, warmupLrRate: first } = options;
  if (step < warmupSteps) {
    if (first === undefined) return (step + 1) / Math.max(1, warmupSteps);
    return first + ((1 - first) * step) / Math.max(1, warmupSteps - 1);
  }
  const progress = (step - warmupSteps + 1) / Math.max(1, totalSteps - warmupSteps);
  return Math.max(0, above(lowestShare(options, span), waveAt(progress, numCycles)));
}

function polynomialAt(step: number, { lrEnd, power }: Of<"polynomial">, span: Span): number {
  const { learningRate, warmupSteps, totalSteps } = span;
  if (learningRate === 0) return 0;
  if (step > totalSteps) return lrEnd / learningRate;
  const left = 1 - (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
  return ((learningRate - lrEnd) * left ** power + lrEnd) / learningRate;
}

function stableDecayAt(step: number, options: Of<"warmup_stable_decay">, { warmupSteps, totalSteps }: Span): number {
  const { numDecaySteps, minLrRatio, numCycles } = options;
  const stable = options.numStableSteps ?? totalSteps - warmupSteps - numDecaySteps;
  if (step < warmupSteps) {
    const y = step / Math.max(1, warmupSteps);
    const rising = { linear: y, cosine: 0.5 * (1 - Math.cos(Math.PI * y)), "1-sqrt": 1 - Math.sqrt(1 - y) };
    return Math.max(0, above(minLrRatio, rising[options.warmupType]));
  }
  if (step < warmupSteps + stable) return 1;
  if (step >= warmupSteps + stable + numDecaySteps) return minLrRatio;
  const y = (step - warmupSteps - stable) / Math.max(1, numDecaySteps);
  const falling = { linear: 1 - y, cosine: waveAt(y, numCycles), "1-sqrt": 1 - Math.sqrt(y) };
  return Math.max(0, above(minLrRatio, falling[options.decayType]));
}
