// A program's own schedule of the learning rate.
import type { Metrics, OwnEvalValues } from "./metrics.ts";

/** What a {@link LrScheduler} may decide by, besides the step. A run that is resumed gives it the same again. */
export interface LrSchedulerContext {
  /** `learningRate` of the options, with its default. */
  learningRate: number;
  /** Steps of the run; in a phase whose schedule begins afresh those of the phase. */
  totalSteps: number;
  /** `warmupSteps` of the options; a share is counted. */
  warmupSteps: number;
  /** Passes over the data before this step. */
  epoch: number;
  /** The last evaluation; null before the first. */
  evaluation: (Metrics["eval"] & OwnEvalValues) | null;
}

/**
 * Gives the learning rate of a step, which is counted from 1 as in events, in a phase whose schedule begins afresh
 * from its first one; may be async. Groups with a peak of their own, such as LoRA+,
 * keep their ratio to it. It must depend on nothing but what it is given, or a resumed run is another one.
 */
export type LrScheduler = (step: number, context: LrSchedulerContext) => number | Promise<number>;
