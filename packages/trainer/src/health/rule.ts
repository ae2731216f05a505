// What a rule of a run's health is, and what it is asked about.
import type { OptimizerOptions } from "@tunesmith/core";

/** One optimizer step. */
export interface HealthStep {
  /** From 1. */
  step: number;
  /** Mean over the step's supervised tokens, in nats; NaN where it is not finite. */
  loss: number;
  learningRate: number;
  /** Global L2 norm before clipping; NaN where it is not finite. */
  gradNorm: number;
  /** Spent in the step. */
  seconds: number;
  /** Spent before it, until its rows were there. */
  waitSeconds: number;
  /** What the recipe logs of it besides the loss, by the names of its log lines. */
  metrics: Readonly<Record<string, number>>;
}

/** One evaluation after the first step. */
export interface HealthEvaluation {
  step: number;
  evalLoss: number;
  /** Mean of the training loss since the evaluation before. */
  trainLoss: number;
}

/** One answer to a watched prompt. */
export interface HealthAnswer {
  prompt: string;
  completion: string;
  /** The answer that its row has; null where the prompt is no row's. */
  reference: string | null;
  /** Tokens of the answer. */
  tokens: number;
  /** Whether it ended at the limit of tokens, and not by itself. */
  isCut: boolean;
  /** Share of its 4-grams of tokens that stood in it before, 0 to 1. */
  repeated: number;
}

/** The answers of one round. */
export interface HealthSamples {
  step: number;
  answers: readonly HealthAnswer[];
}

/** What is known of a run before its first step. */
export interface HealthRun {
  totalSteps: number;
  warmupSteps: number;
  /** Peak of the schedule. */
  learningRate: number;
  optim: string;
  optimizer: OptimizerOptions["type"];
  /** False after full fine-tuning. */
  isAdapter: boolean;
  /** Null where nothing is clipped. */
  maxGradNorm: number | null;
  sampleMaxNewTokens: number;
  /** Whether rows are read while they are trained on. */
  streamed: boolean;
}

/** What a rule is asked about: a run as it is now. Of a resumed run it is the same as of one that was never stopped. */
export interface HealthView {
  /** What has just happened: nothing yet, a step, an evaluation, a round of samples. */
  event: "start" | "step" | "eval" | "sample";
  /** Steps done. */
  step: number;
  run: HealthRun;
  /** The newest steps, at most 100, the last one last. */
  steps: readonly HealthStep[];
  /** Losses of the first steps, at most 50, those that are finite. */
  firstLosses: readonly number[];
  /** The newest evaluations, at most four, the last one last. */
  evaluations: readonly HealthEvaluation[];
  /** The newest round of answers, and that before the first step; null before it. */
  samples: HealthSamples | null;
  firstSamples: HealthSamples | null;
  /** Rows of the newest step with their losses, where the recipe tells them. */
  rows: readonly { row: number; loss: number }[];
  /** Tokens of the newest step's rows that the model was never trained with, other than those of steps before. */
  untrainedTokens: readonly { id: number; text: string }[];
  /** Bytes in use on the device of the run, and what there is of them; null where that is not known or was looked at less than a second ago. */
  memory: { used: number; limit: number; device: string } | null;
}

/** What a rule has found. */
export interface HealthFinding {
  /** What is wrong and why, with its number. */
  message: string;
  /** That number. */
  value: number;
  /** What to do. */
  remedy: string;
  /** Rows that have to do with it. Default: none. */
  rows?: readonly number[];
  /** What it is about, where a rule may find several things: each is told once. Default: a rule finds one thing. */
  about?: string;
}

/** A rule: it looks at a run after every step, evaluation and round of samples, and what it finds is told once. */
export interface HealthRule {
  /** Stable name, such as `loss-spike`. A rule of one's own with the name of a built-in one takes its place. */
  name: string;
  /** A pure function: what it finds must follow from the view. Null where all is well. */
  check(view: HealthView): HealthFinding | null;
}

/** A finding as it is told: event, result and report have it so. */
export interface HealthReport {
  /** Name of the rule. */
  rule: string;
  step: number;
  message: string;
  value: number;
  remedy: string;
  /** `source:line` of the rows that have to do with it; empty where none has. */
  rows: readonly string[];
}

/** A finding in one line. */
export function healthText({ rule, message, remedy, rows }: HealthReport): string {
  return `${rule}: ${message}${rows.length === 0 ? "" : ` (${rows.join(", ")})`}; ${remedy}`;
}

/** Mean of some numbers; NaN of none. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The middle of some numbers; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return mean(sorted.slice(Math.ceil(half) - 1, Math.floor(half) + 1));
}
