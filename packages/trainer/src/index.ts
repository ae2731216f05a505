// What the package offers: the trainer and its events.
export type { EvalMetrics } from "./evaluate.ts";
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
} from "./events.ts";
export { freeMemory } from "./free-memory.ts";
export { makeFolders } from "./make-folders.ts";
export { type EstimateOptions, estimateMemory, type MemoryEstimate, memoryShortage } from "./memory-check.ts";
export type { StopReason, TrainMetrics, TrainResult } from "./result.ts";
export { type RunState, TrainRun } from "./run.ts";
export { type RunConfig, readRunConfig } from "./run-folder.ts";
export { SFTTrainer, type SFTTrainerOptions, type TrainOptions } from "./trainer.ts";
export type { CallbackContext, TrainCallback } from "./training.ts";
