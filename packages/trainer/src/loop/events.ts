// Events of a run.
import type { MemoryUsage, SessionInfo } from "@tunesmith/core";
import type { MeasuredDifficulty } from "@tunesmith/curriculum";
import type { DataReport } from "@tunesmith/data";
import type { HealthReport } from "../health/rule.ts";
import type { Metrics, OwnEvalValues } from "./metrics.ts";
import type { TrainResult } from "./result.ts";

/**
 * Rows are being prepared, and it takes longer than a second; told four times a second. It comes before all other events and goes to
 * whoever iterates the run: callbacks have no session yet. With `reference` the log-probabilities of the rows by a reference are
 * computed; the last such event of a data set is always told.
 */
export interface PreparingEvent {
  type: "preparing";
  dataset: "train" | "eval";
  /** Rows so far. */
  rows: number;
  /** Of the bytes or rows of the data set; null where it is not known how much there is. */
  share: number | null;
  /** Present where a reference is asked: whether an earlier run had asked the same. */
  reference?: { fromCache: boolean };
}

/** Data and model are ready, nothing has been trained. The first event that callbacks see, of every run that gets this far. */
export interface PreparedEvent {
  type: "prepared";
  runDir: string;
  /** Steps done before: 0, or those of the checkpoint that the run goes on from. */
  step: number;
  totalSteps: number;
  session: SessionInfo;
  /** What the engine holds on its device before the first step, in bytes. */
  memory: MemoryUsage;
  data: DataReport;
  evalData: DataReport | null;
  /** Of several evaluation sets the report of each, by its name; absent where there is one at most. */
  evalSets?: Readonly<Record<string, DataReport>>;
  /** SHA-256 of the chat template's text that rows are rendered from, hexadecimal; null where there is none. */
  chatTemplateSha256: string | null;
}

/**
 * The model is asked how hard the rows are, for an order that goes by it: told four times a second where that takes longer than one, and once
 * all of them are known.
 */
export interface MeasuringEvent {
  type: "measuring";
  /** Steps done before. */
  step: number;
  difficulty: MeasuredDifficulty;
  /** Rows so far. */
  rows: number;
  /** Of all rows: 1 once all are known. */
  share: number;
  /** Whether an earlier run had asked the same. */
  fromCache: boolean;
}

/** The first step is about to be taken, or the next one of a resumed run (transformers' on_train_begin). */
export interface TrainBeginEvent {
  type: "trainBegin";
  /** Steps done before. */
  step: number;
  totalSteps: number;
  epoch: number;
}

/** The first step of an epoch is about to be taken (transformers' on_epoch_begin). */
export interface EpochBeginEvent {
  type: "epochBegin";
  /** Steps done before. */
  step: number;
  /** Passes over the data done before. */
  epoch: number;
}

/** The last step of an epoch has been taken (transformers' on_epoch_end). Log line, evaluation, samples and checkpoint of the step follow. */
export interface EpochEndEvent {
  type: "epochEnd";
  step: number;
  /** Passes over the data done. */
  epoch: number;
}

/** A step is about to be taken (transformers' on_step_begin). To callbacks alone: who iterates is told once of each step. */
export interface StepBeginEvent {
  type: "stepBegin";
  /** The step that begins, from 1. */
  step: number;
  totalSteps: number;
  /** Passes over the data before it. */
  epoch: number;
}

/** One optimizer step. */
export interface StepEvent {
  type: "step";
  step: number;
  totalSteps: number;
  epoch: number;
  /** Of the recipe's objective; for language modelling the mean over the step's supervised tokens, in nats. */
  loss: number;
  learningRate: number;
  /** Global L2 norm before clipping. */
  gradNorm: number;
  /** Tokens of the step, prompts included. */
  tokens: number;
  seconds: number;
  /** What the engine holds on its device, now and at its peak, in bytes. */
  memory: MemoryUsage;
}

/** The numbers of a recipe since the last log line; what `metrics.jsonl` holds. */
export type LogEvent<M extends Metrics = Metrics> = LogFields & M["log"];

interface LogFields {
  type: "log";
  step: number;
  epoch: number;
  /** Rate and norm of the last step. */
  learningRate: number;
  gradNorm: number;
  /** Tokens since the start of the run, prompts included. */
  numTokens: number;
}

/** An evaluation is about to begin. One that is interrupted begins again without another word. */
export interface EvalBeginEvent {
  type: "evalBegin";
  step: number;
  epoch: number;
}

/** One evaluation. */
export type EvalEvent<M extends Metrics = Metrics> = EvalFields & M["eval"] & OwnEvalValues;

interface EvalFields {
  type: "eval";
  step: number;
  epoch: number;
  /** True when no earlier evaluation of the run was better; of several sets only of the one that metricForBestModel names. */
  best: boolean;
  /** Name of the set, where there are several: each has an event of its own. */
  dataset?: string;
}

/** One answer to a watched prompt. */
export interface SampleEvent {
  type: "sample";
  step: number;
  prompt: string;
  completion: string;
  reference: string | null;
  /** `length` where the answer was cut at `sampleMaxNewTokens`. */
  finishReason: "stop" | "length";
}

/** A completion and what it was worth. */
export interface RatedCompletion {
  /** Last message of the prompt, or its text. */
  prompt: string;
  completion: string;
  /** Of each reward function, by its name. */
  rewards: Readonly<Record<string, number | null>>;
  /** Weighted sum; null where no function gave one. */
  reward: number | null;
  advantage: number;
}

/** The completions of a generation with their rewards: with `logCompletions`, before the step that trains on them first. */
export interface CompletionsEvent {
  type: "completions";
  step: number;
  /** Number of the generation, from 0. */
  generation: number;
  completions: readonly RatedCompletion[];
}

/** A checkpoint is on the disk. */
export interface CheckpointEvent {
  type: "checkpoint";
  step: number;
  path: string;
}

/** Something the user should know; the run goes on. */
export interface WarningEvent {
  type: "warning";
  step: number;
  message: string;
}

/** A rule of the run's health has found something; each rule tells it once, also over resumes. */
export interface HealthEvent extends HealthReport {
  type: "health";
}

/**
 * What a run says once: before its first step names of the field for which nothing has to be done here, or that it goes on after its end;
 * after a step what looks wrong of it and is not.
 */
export interface NoteEvent {
  type: "note";
  step: number;
  message: string;
  /** The options, by their names here. */
  options: readonly string[];
}

/** The last step has been taken, and the session holds the weights of the result; adapter and report follow (transformers' on_train_end). */
export interface TrainEndEvent {
  type: "trainEnd";
  step: number;
  epoch: number;
}

/** The run has ended well. The last event. */
export interface DoneEvent<M extends Metrics = Metrics> {
  type: "done";
  result: TrainResult<M>;
}

/** What happens in a run, in order. `M` names the metrics of its recipe; a listener for any recipe leaves it out. */
export type TrainEvent<M extends Metrics = Metrics> =
  | PreparingEvent
  | PreparedEvent
  | MeasuringEvent
  | TrainBeginEvent
  | EpochBeginEvent
  | StepBeginEvent
  | StepEvent
  | EpochEndEvent
  | LogEvent<M>
  | EvalBeginEvent
  | EvalEvent<M>
  | SampleEvent
  | CompletionsEvent
  | CheckpointEvent
  | WarningEvent
  | HealthEvent
  | NoteEvent
  | TrainEndEvent
  | DoneEvent<M>;
