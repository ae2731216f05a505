// The result of a finished run, and its longer form `report.json`.
import type { ActiveRun } from "./active-run.ts";
import type { StopReason, TrainResult } from "./result.ts";
import { takenOptions } from "./taken.ts";

/**
 * Result of a finished run, and the longer form of it that is kept as `report.json`. `loadedBestStep`: the step whose weights are the
 * result for being the best; null where they are those of the last step.
 */
export function describeRun(
  run: ActiveRun,
  { stoppedBy, loadedBestStep }: { stoppedBy: StopReason; loadedBestStep: number | null },
): { result: TrainResult; report: object } {
  const { events, prepared, folder, session, state } = run;
  const { seconds, step_seconds: stepSeconds } = state;
  const metrics = metricsOf(state, session.memory().peak);
  const trainingLoss = metrics.trainLoss;
  const evalAfter = loadedBestStep === null ? state.eval_last : state.eval_best;
  const result: TrainResult = {
    globalStep: state.global_step,
    trainingLoss,
    metrics,
    evalBefore: state.eval_before,
    evalAfter,
    runDir: folder.path,
    adapterDir: folder.adapterDir,
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
  const report = {
    steps: state.global_step,
    epochs: state.epoch,
    stoppedBy,
    learningRateOverride: result.learningRateOverride,
    phases: state.phases,
    trainLoss: trainingLoss,
    eval: { before: state.eval_before, after: evalAfter, ...bestOf(run) },
    loadedBestStep,
    tokens: state.num_tokens,
    rows: state.num_rows,
    seconds,
    stepSeconds,
    tokensPerSecond: metrics.trainTokensPerSecond,
    peakMemoryBytes: metrics.peakMemoryBytes,
    enginePeakBytes: metrics.enginePeakBytes,
    adapterDir: folder.adapterDir,
    lossHash: state.loss_hash,
    taken: takenOptions(run),
    warnings: result.warnings,
    health: result.health,
    data: result.data,
    evalData: result.evalData,
    ...(prepared.evalSets !== undefined && { evalSets: prepared.evalSets }),
    difficulty: result.difficulty,
  };
  return { result, report };
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
    // Linux and macOS differ in the unit of the system call; Node gives kilobytes on both.
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    enginePeakBytes,
  };
}
