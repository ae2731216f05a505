// Events of a run.
import type { SessionInfo } from "@tunesmith/core";
import type { DataReport } from "@tunesmith/data";
import type { EvalMetrics } from "../sft/evaluate.ts";
import type { TrainResult } from "./result.ts";

/** Data and model are ready, nothing has been trained. The first event of every run that gets this far. */
export interface PreparedEvent {
  type: "prepared";
  runDir: string;
  /** Steps done before: 0, or those of the checkpoint that the run goes on from. */
  step: number;
  totalSteps: number;
  session: SessionInfo;
  data: DataReport;
  evalData: DataReport | null;
}

/** One optimizer step. */
export interface StepEvent {
  type: "step";
  step: number;
  totalSteps: number;
  epoch: number;
  /** Mean over the step's trained tokens, in nats. */
  loss: number;
  learningRate: number;
  /** Global L2 norm before clipping. */
  gradNorm: number;
  /** Tokens of the step, prompts included. */
  tokens: number;
  seconds: number;
}

/** Means since the last log line; what `metrics.jsonl` holds. */
export interface LogEvent {
  type: "log";
  step: number;
  epoch: number;
  loss: number;
  /** Rate and norm of the last step. */
  learningRate: number;
  gradNorm: number;
  meanTokenAccuracy: number;
  entropy: number;
  /** Tokens since the start of the run, prompts included. */
  numTokens: number;
}

/** One evaluation. */
export interface EvalEvent extends EvalMetrics {
  type: "eval";
  step: number;
  epoch: number;
  /** True when no earlier evaluation of the run was better. */
  best: boolean;
}

/** One answer to a watched prompt. */
export interface SampleEvent {
  type: "sample";
  step: number;
  prompt: string;
  completion: string;
  reference: string | null;
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

/** The run has ended well. The last event. */
export interface DoneEvent {
  type: "done";
  result: TrainResult;
}

/** What happens in a run, in order. */
export type TrainEvent =
  | PreparedEvent
  | StepEvent
  | LogEvent
  | EvalEvent
  | SampleEvent
  | CheckpointEvent
  | WarningEvent
  | DoneEvent;
