// The learning rate of each step.
import {
  hasWarmup,
  OptionError,
  type ParsedTrainingArguments,
  type SchedulerOptions,
  schedulerOptions,
  warmsUpItself,
  watchesMetric,
} from "@tunesmith/core";
import type { Settled } from "../options/resolved.ts";
import { type Span, shapeAt } from "./schedule-shapes.ts";

/** Shape of the learning rate over the run, and its peak. */
export interface Schedule extends Span {
  options: SchedulerOptions;
  /** Whether the optimizer has a warm-up of its own: schedulefree's, which ends one step before that of a schedule. */
  warmsUpItself: boolean;
  /** Steps of the run before it begins; `totalSteps` counts those after them. */
  afterStep: number;
}

/**
 * Learning rate used by a step, from 1 on: transformers' `get_scheduler` gives step n the factor of index n − 1, so that with warm-up the
 * first step has rate 0. A group with another peak gives it as `peak`.
 */
export function learningRateAt(step: number, schedule: Schedule, peak = schedule.learningRate): number {
  const { afterStep, options, warmsUpItself, warmupSteps } = schedule;
  const own = step - afterStep;
  const rate = peak * shapeAt(own - 1, options, schedule);
  return warmsUpItself && own < warmupSteps ? (rate * own) / warmupSteps : rate;
}

/** Options of a schedule. */
type ScheduleArguments = Pick<
  ParsedTrainingArguments,
  "lrSchedulerType" | "lrSchedulerKwargs" | "warmupSteps" | "optim"
>;

/** Whether the length of a run decides the learning rates of its steps, so that a run cannot be made longer when it is resumed. */
export function dependsOnLength(args: ScheduleArguments): boolean {
  const options = schedulerOptions(args);
  // A share of all steps.
  if ((hasWarmup(options.type) || warmsUpItself(args.optim)) && args.warmupSteps > 0 && args.warmupSteps < 1)
    return true;
  switch (options.type) {
    case "constant":
    case "constant_with_warmup":
    case "inverse_sqrt":
    case "reduce_lr_on_plateau":
    case "greedy":
      return false;
    case "warmup_stable_decay":
      return options.numStableSteps === undefined;
    default:
      return true;
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

/**
 * The schedule that options ask for.
 *
 * @param runSteps all steps of the run
 * @param afterStep those before the schedule begins
 */
export function scheduleOf(args: Settled, runSteps: number, afterStep = 0): Schedule {
  const options = schedulerOptions(args);
  const { learningRate } = args;
  if (options.type === "polynomial" && learningRate > 0 && learningRate <= options.lrEnd)
    throw new OptionError(
      `[lrSchedulerKwargs.lrEnd] expected a rate below learningRate ${learningRate}, got ${options.lrEnd}; lower it`,
    );
  const totalSteps = runSteps - afterStep;
  const warmupSteps = countWarmupSteps(args.warmupSteps, totalSteps);
  return { options, learningRate, warmupSteps, totalSteps, warmsUpItself: warmsUpItself(args.optim), afterStep };
}

/** A schedule that watches a metric needs evaluations: without them it is an `OptionError`. */
export function refuseUnwatched({ lrSchedulerType, evalStrategy }: Settled): void {
  if (watchesMetric(lrSchedulerType) && evalStrategy === "no")
    throw new OptionError(
      `[lrSchedulerType] expected evaluations whose metric ${lrSchedulerType} can watch, got none; give evalDataset and an evalStrategy other than "no"`,
    );
}
