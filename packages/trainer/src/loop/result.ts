// The result of a run, as types.
import type { DataReport } from "@tunesmith/data";
import type { HealthReport } from "../health/rule.ts";
import type { LearningRateOverride } from "./hooks/control.ts";
import type { DifficultyReport } from "./measured-order.ts";
import type { Metrics, OwnEvalValues } from "./metrics.ts";
import type { Phase } from "./phases.ts";

/** Why a run ended. */
export type StopReason = "epochs" | "max_steps" | "early_stopping" | "callback";

/**
 * Figures of a whole run (names of Hugging Face's TrainOutput.metrics in camelCase). The rates are over the time spent in steps,
 * without evaluation, samples and saving.
 */
export interface TrainMetrics {
  /** Seconds from the first step to the end, everything included. */
  trainRuntime: number;
  trainSamplesPerSecond: number;
  trainStepsPerSecond: number;
  /** Tokens of the training rows, prompts included. */
  trainTokensPerSecond: number;
  /** Mean of the steps' losses. */
  trainLoss: number;
  epoch: number;
  /** Tokens of all steps, prompts included. */
  numTokens: number;
  /** Largest resident memory of the process. */
  peakMemoryBytes: number;
  /** Most that the engine held on its device. */
  enginePeakBytes: number;
}

/** What `await trainer.train()` gives. */
export interface TrainResult<M extends Metrics = Metrics> {
  globalStep: number;
  /** Mean of the steps' losses. */
  trainingLoss: number;
  metrics: TrainMetrics;
  /** Evaluation before the first step (`evalOnStart`), and that of the final weights. */
  evalBefore: (M["eval"] & OwnEvalValues) | null;
  evalAfter: (M["eval"] & OwnEvalValues) | null;
  /** The best evaluation, by `metricForBestModel`; null without one. */
  best: { metric: string; value: number; step: number } | null;
  runDir: string;
  adapterDir: string;
  /** Of the files in it. */
  adapterBytes: number;
  /** Bytes that the engine was said to hold at its peak, before the first step: against `metrics.enginePeakBytes`. */
  estimatedBytes: number;
  stoppedBy: StopReason;
  /** How callbacks have set the learning rate; null where they have not. */
  learningRateOverride: LearningRateOverride | null;
  /** What the run went on with, each time after it had ended. */
  phases: readonly Phase[];
  /** SHA-256 chained over the loss of every step: equal runs have equal hashes. */
  lossHash: string;
  /** What the user should know, as the warning events said it. */
  warnings: readonly string[];
  /** What the rules of the run's health found, over all of its resumes. */
  health: readonly HealthReport[];
  /** The rows that were trained on, and what was cut or left out of them. */
  data: DataReport;
  /** The same of the evaluation set, of several the first; null without one. */
  evalData: DataReport | null;
  /** Of several evaluation sets each, by its name. Default: there is one at most. */
  evalSets?: Readonly<Record<string, DataReport>>;
  /** How often and at what cost the model was asked how hard the rows are; null where their order does not go by it. */
  difficulty: DifficultyReport | null;
}
