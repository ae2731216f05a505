// The result of a finished run, and its longer form `report.json`.
import type { ActiveRun } from "./active-run.ts";
import type { StopReason, TrainResult } from "./result.ts";
import { takenOptions } from "./taken.ts";
import { toldTime } from "./time-estimate.ts";

/** What is known of a run only at its end. */
interface RunEnd {
  stoppedBy: StopReason;
  /** The step whose weights are the result for being the best; null where they are those of the last step. */
  loadedBestStep: number | null;
  adapterBytes: number;
}

/** Result of a finished run, and the longer form of it that is kept as `report.json`. */
export function describeRun(run: ActiveRun, end: RunEnd): { result: TrainResult; report: object } {
  const result = resultOf(run, end);
  return { result, report: reportOf(run, result, end) };
}

function resultOf(run: ActiveRun, { stoppedBy, loadedBestStep, adapterBytes }: RunEnd): TrainResult {
  const { events, memoryPlan, prepared, folder, session, state } = run;
  const metrics = metricsOf(state, session.memory().peak + (prepared.frozenCopy?.peakBytes() ?? 0));
  return {
    globalStep: state.global_step,
    trainingLoss: metrics.trainLoss,
    metrics,
    evalBefore: state.eval_before,
    evalAfter: loadedBestStep === null ? state.eval_last : state.eval_best,
    best: bestEvaluation(run),
    runDir: folder.path,
    adapterDir: folder.adapterDir,
    adapterBytes,
    estimatedBytes: Math.max(memoryPlan.peak, memoryPlan.loading),
    stoppedBy,
    learningRateOverride: state.learning_rate_override,
    phases: state.phases,
    lossHash: state.loss_hash,
    warnings: [...events.warnings],
    health: state.health.told.map(({ about: _, ...report }) => report),
    data: prepared.train.report,
    evalData: prepared.evaluation?.report ?? null,
    ...(prepared.evalSets !== undefined && { evalSets: prepared.evalSets }),
    difficulty: prepared.measured?.report ?? null,
  };
}

function reportOf(run: ActiveRun, result: TrainResult, { stoppedBy, loadedBestStep }: RunEnd): object {
  const { prepared, folder, state } = run;
  const { metrics, trainingLoss, evalBefore: before, evalAfter: after } = result;
  const told = toldTime(state.time_estimate, state.global_step);
  return {
    steps: state.global_step,
    epochs: state.epoch,
    stoppedBy,
    learningRateOverride: result.learningRateOverride,
    phases: state.phases,
    trainLoss: trainingLoss,
    eval: { before, after, ...bestOf(run) },
    loadedBestStep,
    tokens: state.num_tokens,
    rows: state.num_rows,
    seconds: state.seconds,
    estimatedSeconds: told?.seconds ?? null,
    estimatedAfterStep: told?.step ?? null,
    stepSeconds: state.step_seconds,
    tokensPerSecond: metrics.trainTokensPerSecond,
    peakMemoryBytes: metrics.peakMemoryBytes,
    enginePeakBytes: metrics.enginePeakBytes,
    estimatedBytes: result.estimatedBytes,
    adapterBytes: result.adapterBytes,
    adapterDir: folder.adapterDir,
    lossHash: state.loss_hash,
    chatTemplateSha256: prepared.tokenizer.info.chatTemplateSha256,
    taken: takenOptions(run),
    warnings: result.warnings,
    health: result.health,
    data: result.data,
    evalData: result.evalData,
    ...(prepared.evalSets !== undefined && { evalSets: prepared.evalSets }),
    difficulty: result.difficulty,
  };
}

function bestEvaluation({ args, state }: ActiveRun): TrainResult["best"] {
  const { best, bestStep } = state.best;
  if (best === null || bestStep === null) return null;
  return { metric: args.metricForBestModel, value: best, step: bestStep };
}

function bestOf({ args, state }: ActiveRun) {
  const { best, bestStep } = state.best;
  return { metricForBestModel: args.metricForBestModel, best, bestStep };
}

/** What transformers' trainer returns as metrics, and the memory at its peak, in bytes. */
function metricsOf(state: ActiveRun["state"], enginePeakBytes: number) {
  const perSecond = (amount: number) => amount / Math.max(state.step_seconds, 1e-9);
  return {
    trainRuntime: state.seconds,
    trainSamplesPerSecond: perSecond(state.num_rows),
    trainStepsPerSecond: perSecond(state.global_step),
    trainTokensPerSecond: perSecond(state.num_tokens),
    trainLoss: state.loss_total / Math.max(1, state.loss_count),
    epoch: state.epoch,
    numTokens: state.num_tokens,
    // Linux and macOS differ in the unit of the system call; Node gives kilobytes on both.
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    enginePeakBytes,
  };
}
