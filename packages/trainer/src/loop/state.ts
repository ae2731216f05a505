// What a checkpoint remembers of trainer and data.
import * as z from "zod";
import { emptyHealth, type HealthState, healthStateSchema } from "../health/state.ts";
import { type BestState, emptyBest } from "./early-stopping.ts";
import {
  type Asked,
  askedSchema,
  type LearningRateOverride,
  learningRateOverrideSchema,
  nothingAsked,
} from "./hooks/control.ts";
import type { Metrics, SumsByName } from "./metrics.ts";
import { type Phase, phaseSchema } from "./phases.ts";
import { type TimeEstimate, timeEstimateSchema } from "./time-estimate.ts";
import { type WatchState, watchStateSchema } from "./watching-schedule.ts";

/** What comes next after a step, in this order; null when nothing is left. A stop in between is resumed at that place. */
export type Pending = "epochEnd" | "log" | "evalBegin" | "evaluate" | "sample" | null;

/**
 * Everything that a resumed run needs besides weights and optimizer state: `trainer_state.json`. Names of Hugging Face's
 * TrainerState where it has them.
 */
export interface TrainerState {
  global_step: number;
  max_steps: number;
  /** What the run went on with, each time after it had ended. */
  phases: readonly Phase[];
  /** When the run was started, in seconds since 1970; null where that was not kept. A chat template may write the time. */
  started_at: number | null;
  epoch: number;
  /** Tokens of all steps, prompts included. */
  num_tokens: number;
  /** Rows of all steps. */
  num_rows: number;
  best: BestState;
  /** Steps of checkpoints that were written only because they were the best. */
  best_only: number[];
  /** What callbacks have asked for and is still to be done. */
  asked: Asked;
  /** How callbacks have set the learning rate; null where they have not. */
  learning_rate_override: LearningRateOverride | null;
  /** Whether callbacks were told of this checkpoint: not where it was written because the run was stopped. */
  checkpoint_told: boolean;
  /** What was collected since the last log line, by metric. */
  log: SumsByName;
  /** Rate and norm of the last step. */
  last: { learningRate: number; gradNorm: number };
  /** What a schedule that watches a metric has seen; null for another one, and before the first evaluation. */
  schedule: WatchState | null;
  /** Σ and number of the step losses, for the mean over the run. */
  loss_total: number;
  loss_count: number;
  /** Train loss since the last evaluation. */
  since_eval: { lossSum: number; weightSum: number };
  /** What the rules of its health look at, and what they have told. */
  health: HealthState;
  eval_before: Metrics["eval"] | null;
  eval_last: Metrics["eval"] | null;
  eval_best: Metrics["eval"] | null;
  /** Updates in a row that were not finite. */
  non_finite: number;
  /** SHA-256 chained over the loss of every step: equal runs have equal hashes. */
  loss_hash: string;
  pending: Pending;
  /** Seconds of the run so far, and those spent in steps. */
  seconds: number;
  step_seconds: number;
  /** How long it was said to take; null before the first step. */
  time_estimate: TimeEstimate | null;
  /** Bytes of metrics.jsonl and samples.jsonl when the checkpoint was written. */
  metrics_bytes: number;
  samples_bytes: number;
  /** Options that decide what the steps compute; a resumed run must have the same. */
  config: Record<string, unknown>;
}

/** Where a resumed run goes on in the data, and which data that must be: `data_state.json`. */
export interface DataState {
  /** Fingerprint of the training examples; null where they are read while they are trained on. */
  fingerprint: string | null;
  examples: number;
  sampler: { strategy: string; seed: number; simpleMaxLength: number };
  /** Micro-batches of the run that are done, as passes over the data. */
  epoch: number;
  global_step: number;
}

/** The state before the first step. */
export function emptyState(maxSteps: number, config: Record<string, unknown>, startedAt: number): TrainerState {
  return {
    global_step: 0,
    max_steps: maxSteps,
    phases: [],
    started_at: startedAt,
    epoch: 0,
    num_tokens: 0,
    num_rows: 0,
    best: emptyBest(),
    best_only: [],
    asked: nothingAsked(),
    learning_rate_override: null,
    checkpoint_told: false,
    log: {},
    last: { learningRate: 0, gradNorm: 0 },
    schedule: null,
    loss_total: 0,
    loss_count: 0,
    since_eval: { lossSum: 0, weightSum: 0 },
    health: emptyHealth(),
    eval_before: null,
    eval_last: null,
    eval_best: null,
    non_finite: 0,
    loss_hash: "",
    pending: "evalBegin",
    seconds: 0,
    step_seconds: 0,
    time_estimate: null,
    metrics_bytes: 0,
    samples_bytes: 0,
    config,
  };
}

/** A value that need not be finite: JSON has null in place of those that are not. */
const value = z
  .number()
  .nullable()
  .transform((given) => given ?? Number.NaN);
const step = z.int().nonnegative();
const evaluation = z.object({ evalLoss: value }).catchall(value).nullable();

/** What is absent was not known yet when the checkpoint was written. */
const best = z
  .object({
    best: z.number().nullable(),
    bestStep: step.nullable(),
    keptStep: step.nullable().optional(),
    withoutImprovement: step,
    metric: z.string().nullable().default(null),
    evaluation: z.string().nullable().default(null),
  })
  .transform((given) => ({ ...given, keptStep: given.keptStep === undefined ? given.bestStep : given.keptStep }));

/** A {@link TrainerState} as it is read back. */
export const trainerStateSchema: z.ZodType<TrainerState> = z.object({
  global_step: step,
  max_steps: step,
  phases: z.array(phaseSchema).default([]),
  started_at: step.nullable().default(null),
  epoch: z.number(),
  num_tokens: z.number(),
  num_rows: z.number(),
  best,
  best_only: z.array(step).default([]),
  asked: askedSchema.default(nothingAsked),
  learning_rate_override: learningRateOverrideSchema.nullable().default(null),
  checkpoint_told: z.boolean().default(false),
  log: z.record(z.string(), z.object({ sum: value, weight: value })),
  last: z.object({ learningRate: value, gradNorm: value }).default({ learningRate: 0, gradNorm: 0 }),
  schedule: watchStateSchema.nullable().default(null),
  loss_total: z.number(),
  loss_count: z.number(),
  since_eval: z.object({ lossSum: value, weightSum: value }),
  health: healthStateSchema.default(emptyHealth),
  eval_before: evaluation,
  eval_last: evaluation,
  eval_best: evaluation,
  non_finite: step,
  loss_hash: z.string().regex(/^[0-9a-f]*$/u),
  pending: z.enum(["epochEnd", "log", "evalBegin", "evaluate", "sample"]).nullable(),
  seconds: z.number(),
  step_seconds: z.number(),
  time_estimate: timeEstimateSchema.nullable().default(null),
  metrics_bytes: step,
  samples_bytes: step,
  config: z.record(z.string(), z.unknown()),
});

/** A {@link DataState} as it is read back. */
export const dataStateSchema: z.ZodType<DataState> = z.object({
  fingerprint: z.string().nullable(),
  examples: step,
  sampler: z.object({ strategy: z.string(), seed: z.number(), simpleMaxLength: z.number() }),
  epoch: z.number(),
  global_step: step,
});
