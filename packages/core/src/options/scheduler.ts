// Learning rate schedules by name, with their constants: those of transformers' `get_scheduler`.
import * as z from "zod";
import { OptionError } from "../errors.ts";
import { entriesOf, type GivenConstants, parseConstants } from "./constants.ts";

const waves = z.number().nonnegative();
const share = z.number().min(0).max(1);
const steps = z.int().nonnegative();
const rate = z.number().nonnegative();
const ends = {
  /** Waves of the cosine after the warm-up; 0.5 falls once. */
  numCycles: waves.default(0.5),
  /** Lowest rate, as a rate. */
  minLr: rate.optional(),
  /** Lowest rate, as a share of the peak; one of the two has to be given. */
  minLrRate: share.optional(),
};
const curve = z.enum(["linear", "cosine", "1-sqrt"]);

/** How a metric of the evaluations is compared with the best one before. */
const compared = {
  /** Whether less of the metric is better, or more. */
  mode: z.enum(["min", "max"]).default("min"),
  /** Evaluations in a row that are needed before the rate is changed: one more than this. */
  patience: steps.default(10),
  /** Evaluations after a cut in which nothing is counted. */
  cooldown: steps.default(0),
  /** A change of at most this is not made. */
  eps: rate.default(1e-8),
};

/** Every schedule, by its name in `lrSchedulerType`; defaults are transformers'. */
export const schedulerSchemas = {
  linear: z.strictObject({ type: z.literal("linear") }),
  cosine: z.strictObject({ type: z.literal("cosine"), numCycles: ends.numCycles }),
  cosine_with_restarts: z.strictObject({
    type: z.literal("cosine_with_restarts"),
    /** Falls from the peak to 0. */
    numCycles: waves.default(1),
  }),
  polynomial: z.strictObject({
    type: z.literal("polynomial"),
    /** Rate at the end. */
    lrEnd: rate.default(1e-7),
    power: z.number().positive().default(1),
  }),
  constant: z.strictObject({ type: z.literal("constant") }),
  constant_with_warmup: z.strictObject({ type: z.literal("constant_with_warmup") }),
  inverse_sqrt: z.strictObject({
    type: z.literal("inverse_sqrt"),
    /** Steps after which the rate is 1/√2 of the peak. Default: those of the warm-up, without one 10,000. */
    timescale: z.int().positive().optional(),
  }),
  reduce_lr_on_plateau: z.strictObject({
    type: z.literal("reduce_lr_on_plateau"),
    ...compared,
    /** The rate is multiplied by this. */
    factor: z.number().min(0).lt(1).default(0.1),
    threshold: z.number().nonnegative().default(1e-4),
    /** Whether the threshold is a share of the best value, or a difference. */
    thresholdMode: z.enum(["rel", "abs"]).default("rel"),
    minLr: rate.default(0),
  }),
  cosine_with_min_lr: z.strictObject({ type: z.literal("cosine_with_min_lr"), ...ends }),
  cosine_warmup_with_min_lr: z.strictObject({
    type: z.literal("cosine_warmup_with_min_lr"),
    ...ends,
    /** Share of the peak that the warm-up begins with. Default: one step of it. */
    warmupLrRate: share.optional(),
  }),
  warmup_stable_decay: z.strictObject({
    type: z.literal("warmup_stable_decay"),
    /** Steps in which the rate falls; has to be given. */
    numDecaySteps: steps,
    /** Steps at the peak. Default: all that warm-up and decay leave. */
    numStableSteps: steps.optional(),
    warmupType: curve.default("linear"),
    decayType: curve.default("cosine"),
    /** Lowest rate, as a share of the peak. */
    minLrRatio: share.default(0),
    numCycles: ends.numCycles,
  }),
  greedy: z.strictObject({
    type: z.literal("greedy"),
    ...compared,
    /** The rate is multiplied by this, or divided. */
    factor: z.number().positive().lt(1).default(0.95),
    threshold: z.number().nonnegative().default(1e-6),
    /** Whether the threshold is a share of the best value, or a difference. */
    thresholdMode: z.enum(["rel", "abs"]).default("abs"),
    /** Evaluations after a rise in which nothing is counted. */
    warmup: steps.default(0),
    minLr: rate.default(1e-3),
    maxLr: rate.default(1),
    /** Compare the mean of the newest values in place of each. */
    smooth: z.boolean().default(false),
    windowSize: z.int().positive().default(50),
    /** Cuts at the lowest rate after which everything begins from the start. */
    resetStart: steps.default(500),
  }),
} as const;

/** The names of the schedules. */
export type SchedulerType = keyof typeof schedulerSchemas;

/** The names of the schedules, for an option. */
export const schedulerTypes = Object.keys(schedulerSchemas) as [SchedulerType, ...SchedulerType[]];

/** A schedule with its constants. */
export type SchedulerOptions = { [T in SchedulerType]: z.output<(typeof schedulerSchemas)[T]> }[SchedulerType];

/** The schedule that `lrSchedulerType` and `lrSchedulerKwargs` ask for. Constants it does not have are an `OptionError`. */
export function schedulerOptions({
  lrSchedulerType: type,
  lrSchedulerKwargs: given,
}: {
  lrSchedulerType: SchedulerType;
  lrSchedulerKwargs: GivenConstants;
}): SchedulerOptions {
  const place = "lrSchedulerKwargs";
  const options: SchedulerOptions = parseConstants(schedulerSchemas[type], entriesOf(given, place), place);
  if (options.type === "cosine_with_min_lr" || options.type === "cosine_warmup_with_min_lr") {
    const { minLr, minLrRate } = options;
    if ((minLr === undefined) === (minLrRate === undefined))
      throw new OptionError(
        `[${place}] expected one of minLr and minLrRate for ${type}, got ${minLr === undefined ? "neither" : "both"}; give one`,
      );
  }
  return options;
}

/** Whether a schedule begins with the warm-up. */
export function hasWarmup(type: SchedulerType): boolean {
  return type !== "constant" && !watchesMetric(type);
}

/** Whether a schedule changes its rates by a metric of the evaluations. */
export function watchesMetric(type: SchedulerType): type is "reduce_lr_on_plateau" | "greedy" {
  return type === "reduce_lr_on_plateau" || type === "greedy";
}
