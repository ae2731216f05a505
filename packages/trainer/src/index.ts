// What the package offers: trainers, their events, and what they find out before they start.

export { DPOTrainer, type DPOTrainerOptions, dpoTrainerKeys } from "./dpo/dpo-trainer.ts";
export type { DPOMetrics, EvalPairMetrics, PairMetrics } from "./dpo/metrics.ts";
export type { EvaluatedAnswer, RowMetric } from "./evaluation/answers.ts";
export type { Interval } from "./evaluation/bootstrap.ts";
export {
  type AnswerEvent,
  type Contender,
  type EvaluationProgress,
  evaluateModels,
  type KeptRow,
  type UseWeights,
} from "./evaluation/evaluate-models.ts";
export type { EvaluatedMetric, EvaluationTable, MetricValue } from "./evaluation/table.ts";
export { GRPOTrainer, type GRPOTrainerOptions, grpoTrainerKeys, type RewardFuncs } from "./grpo/grpo-trainer.ts";
export type { GRPOMetrics } from "./grpo/metrics.ts";
export type { RolloutCompletion, RolloutFunc, RolloutInput, RolloutPrompt } from "./grpo/rollout.ts";
export type {
  HealthAnswer,
  HealthEvaluation,
  HealthFinding,
  HealthReport,
  HealthRule,
  HealthRun,
  HealthSamples,
  HealthStep,
  HealthView,
} from "./health/rule.ts";
export { healthText } from "./health/rule.ts";
export { healthRules } from "./health/rules.ts";
export type { Answer } from "./loop/answers.ts";
export type { DiskNeed } from "./loop/disk-space.ts";
export type { OptionChange } from "./loop/drift.ts";
export type {
  CheckpointEvent,
  CompletionsEvent,
  DoneEvent,
  EpochBeginEvent,
  EpochEndEvent,
  EvalBeginEvent,
  EvalEvent,
  HealthEvent,
  LogEvent,
  MeasuringEvent,
  NoteEvent,
  PreparedEvent,
  PreparingEvent,
  RatedCompletion,
  SampleEvent,
  StepBeginEvent,
  StepEvent,
  TrainBeginEvent,
  TrainEndEvent,
  TrainEvent,
  WarningEvent,
} from "./loop/events.ts";
export type { BatchRow, FirstBatch } from "./loop/first-batch.ts";
export type {
  CallbackContext,
  CallbackFunction,
  CallbackObject,
  CallbackState,
  TrainCallback,
} from "./loop/hooks/callback.ts";
export type { LearningRateOverride, TrainControl } from "./loop/hooks/control.ts";
export type { EvalPrompt, EvalRow } from "./loop/hooks/eval-rows.ts";
export type { MetricContext, MetricFunction, MetricFunctions } from "./loop/hooks/own-metrics.ts";
export { howToResume } from "./loop/how-to-resume.ts";
export type { LrScheduler, LrSchedulerContext } from "./loop/lr-scheduler.ts";
export type { DifficultyReport } from "./loop/measured-order.ts";
export type { Better, Metrics, OwnEvalValues } from "./loop/metrics.ts";
export type { Phase } from "./loop/phases.ts";
export { newestCheckpoint, readCheckpoint } from "./loop/read-checkpoint.ts";
export type { StopReason, TrainMetrics, TrainResult } from "./loop/result.ts";
export { type RunState, TrainRun } from "./loop/run.ts";
export type { RunConfig } from "./loop/run-config.ts";
export type { DryRun, TrainOptions } from "./loop/trainer.ts";
export type { MemoryEstimate } from "./memory/estimate.ts";
export { freeMemory } from "./memory/free-memory.ts";
export type { EvalDatasets } from "./options/eval-sets.ts";
export { withPreset } from "./options/preset.ts";
export type { Resolved, Settled } from "./options/resolved.ts";
export { withTokenizerOptions } from "./options/tokenizer-options.ts";
export { type Curve, curveChart } from "./record/curves.ts";
export { curveOf, reportPage } from "./record/report-page.ts";
export { type MetricLine, type RunRecord, type RunReport, readRun, type SampleLine } from "./record/run-record.ts";
export {
  type AccuracyOptions,
  type CosineOptions,
  getCosineScaledReward,
  getExactAccuracyReward,
  getNumericAccuracyReward,
} from "./rewards/built-in/accuracy.ts";
export { getFormatReward, thinkFormatReward } from "./rewards/built-in/format.ts";
export { getJudgeReward, type JudgeRewardOptions } from "./rewards/built-in/judge.ts";
export { getRepetitionPenaltyReward, getSoftOverlongPunishment } from "./rewards/built-in/length.ts";
export {
  getStringCheckReward,
  rougeReward,
  type StringCheckOperation,
  type TextSimilarityMetric,
  textSimilarityReward,
} from "./rewards/built-in/similar.ts";
export type { RewardFunction, RewardInput, RewardObject, RewardState } from "./rewards/reward.ts";
export type { DataCollator } from "./sft/collator.ts";
export type {
  ComputeLossFunc,
  LossBatch,
  LossFunction,
  LossResult,
  LossRow,
  ReferenceLoss,
  ReferenceLossRow,
} from "./sft/compute-loss.ts";
export { dataWarnings } from "./sft/data-warnings.ts";
export { estimateFit, type FitEstimate, type GpuFit, type LargestBatch, mostBatchRows } from "./sft/estimate-fit.ts";
export { type EstimateOptions, estimateMemory, memoryShortage } from "./sft/estimate-memory.ts";
export { generatedBatch, measureSpeed, type SpeedEstimate } from "./sft/measure-speed.ts";
export type { EvalMetrics, SFTMetrics } from "./sft/metrics.ts";
export { prepareRows, type RowsRequest, withinContext } from "./sft/prepare.ts";
export { adviseTraining, type RecommendOptions, recommendTraining, type TrainingAdvice } from "./sft/recommend.ts";
export { type ResponsesOnlyOptions, type ResponsesTrainer, trainOnResponsesOnly } from "./sft/responses-only.ts";
export { type RowScoreOptions, type RowScores, rowScores } from "./sft/row-scores.ts";
export { readRunConfig, type TrainerName } from "./sft/run-config.ts";
export { SFTTrainer, type SFTTrainerOptions, sftTrainerKeys } from "./sft/sft-trainer.ts";
