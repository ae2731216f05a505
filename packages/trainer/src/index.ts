// What the package offers: the trainer and its events.

export type {
  CheckpointEvent,
  DoneEvent,
  EvalEvent,
  LogEvent,
  PreparedEvent,
  SampleEvent,
  StepEvent,
  TrainEvent,
  WarningEvent,
} from "./loop/events.ts";
export type { StopReason, TrainMetrics, TrainResult } from "./loop/result.ts";
export { type RunState, TrainRun } from "./loop/run.ts";
export { type RunConfig, readRunConfig } from "./loop/run-folder.ts";
export type { CallbackContext, TrainCallback } from "./loop/training.ts";
export { freeMemory } from "./memory/free-memory.ts";
export { type EstimateOptions, estimateMemory, type MemoryEstimate, memoryShortage } from "./memory/memory-check.ts";
export type { EvalMetrics } from "./sft/evaluate.ts";
export { SFTTrainer, type SFTTrainerOptions, type TrainOptions } from "./sft/sft-trainer.ts";
