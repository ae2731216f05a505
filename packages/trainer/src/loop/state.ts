// What a checkpoint remembers of trainer and data.
import { defaultWeightOptions, type ParsedLoraConfig, type ResolvedConfig, type WeightOptions } from "@tunesmith/core";
import type { EvalMetrics } from "../sft/evaluate.ts";
import type { BestState } from "./early-stopping.ts";
import { emptyBest } from "./early-stopping.ts";
import { emptyLogSums, type LogSums } from "./metrics.ts";

/** What comes next behind a step, in this order; null when nothing is left. A stop in between is resumed at that place. */
export type Pending = "log" | "evaluate" | "sample" | null;

/**
 * Everything of the trainer that a resumed run needs, beside weights and moments: `trainer_state.json`. Names of Hugging Face's
 * TrainerState where it has them.
 */
export interface TrainerState {
  global_step: number;
  max_steps: number;
  epoch: number;
  /** Tokens of all steps, prompts included. */
  num_tokens: number;
  /** Rows of all steps. */
  num_rows: number;
  best: BestState;
  log: LogSums;
  /** Σ and number of the step losses, for the mean over the run. */
  loss_total: number;
  loss_count: number;
  /** Train loss since the last evaluation, and the evaluations so far as far as the overfitting check looks back. */
  since_eval: { lossSum: number; weightSum: number };
  recent: { trainLoss: number; evalLoss: number }[];
  eval_before: EvalMetrics | null;
  eval_last: EvalMetrics | null;
  eval_best: EvalMetrics | null;
  /** Updates in a row that were not finite. */
  non_finite: number;
  /** SHA-256 chained over the loss of every step: equal runs have equal hashes. */
  loss_hash: string;
  pending: Pending;
  /** Seconds of the run so far, and those spent in steps. */
  seconds: number;
  step_seconds: number;
  /** Bytes of metrics.jsonl and samples.jsonl when the checkpoint was written. */
  metrics_bytes: number;
  samples_bytes: number;
  /** Options that decide what the steps compute; a resumed run must have the same. */
  config: Record<string, unknown>;
}

/** Where a resumed run goes on in the data, and which data that must be: `data_state.json`. */
export interface DataState {
  /** Fingerprint of the training examples. */
  fingerprint: string;
  examples: number;
  sampler: { strategy: string; seed: number; simpleMaxLength: number };
  /** Micro-batches of the run that are done, as passes over the data. */
  epoch: number;
  global_step: number;
}

/** The state before the first step. */
export function emptyState(maxSteps: number, config: Record<string, unknown>): TrainerState {
  return {
    global_step: 0,
    max_steps: maxSteps,
    epoch: 0,
    num_tokens: 0,
    num_rows: 0,
    best: emptyBest(),
    log: emptyLogSums(),
    loss_total: 0,
    loss_count: 0,
    since_eval: { lossSum: 0, weightSum: 0 },
    recent: [],
    eval_before: null,
    eval_last: null,
    eval_best: null,
    non_finite: 0,
    loss_hash: "",
    pending: "evaluate",
    seconds: 0,
    step_seconds: 0,
    metrics_bytes: 0,
    samples_bytes: 0,
    config,
  };
}

/** Options without influence on any step: where results go, what is reported and when, and how long a run may wait. */
const free = new Set<string>([
  "outputDir",
  "memoryCheck",
  "runName",
  "perDeviceEvalBatchSize",
  "loggingSteps",
  "evalStrategy",
  "evalSteps",
  "evalOnStart",
  "saveStrategy",
  "saveSteps",
  "saveTotalLimit",
  "loadBestModelAtEnd",
  "metricForBestModel",
  "earlyStoppingPatience",
  "earlyStoppingThreshold",
  "samplePrompts",
  "sampleEverySteps",
  "sampleMaxNewTokens",
  "adapterPath",
] satisfies (keyof ResolvedConfig | keyof ParsedLoraConfig)[]);

/** What differs from the defaults: a checkpoint from before an option was there goes on without it. */
function changed(weights: Readonly<WeightOptions>): Partial<WeightOptions> {
  const defaults: Readonly<Record<string, unknown>> = { ...defaultWeightOptions };
  return Object.fromEntries(Object.entries(weights).filter(([name, value]) => value !== defaults[name]));
}

/**
 * The options that a resumed run must share with the one that wrote the checkpoint, since they decide what a step computes. How long
 * the run is belongs to them, unless the learning rate does not depend on it.
 */
export function decisiveConfig(
  args: ResolvedConfig,
  lora: ParsedLoraConfig,
  model: { modelType: string; sha256: string | null; weights: Readonly<WeightOptions> },
): Record<string, unknown> {
  const { modelType, sha256: modelSha256 } = model;
  const entries = Object.entries({ ...args, ...lora, modelType, modelSha256, ...changed(model.weights) });
  const lengthMatters =
    args.lrSchedulerType === "linear" ||
    args.lrSchedulerType === "cosine" ||
    (args.warmupSteps > 0 && args.warmupSteps < 1);
  const loose = lengthMatters ? free : new Set([...free, "numTrainEpochs", "maxSteps"]);
  return Object.fromEntries(entries.filter(([key]) => !loose.has(key)));
}
