// What came of a run, in a few lines, and the commands that go on from it.
import type { DifficultyReport, DPOMetrics, SFTMetrics, StopReason, TrainResult } from "@tunesmith/sdk";
import pc from "picocolors";
import { display } from "./display.ts";
import { bytes, count, duration, percent, plural, shortHash, significant } from "./format.ts";
import { pairFields } from "./pair-fields.ts";
import { sparkline } from "./sparkline.ts";

/** The result of any trainer of the command line. */
type Result = TrainResult<SFTMetrics | DPOMetrics>;

/** Why a run ended before its last step. */
const reasons: Partial<Record<StopReason, string>> = {
  early_stopping: ", stopped early",
  callback: ", stopped by a callback",
};

/**
 * What came of a run.
 *
 * @param losses of the steps that were trained now; none where all were before
 * @param reserved bytes of the GPU that were held before the first step; null on the CPU
 */
export function summaryLines(result: Result, losses: readonly number[], reserved: number | null): string[] {
  const { metrics, globalStep, trainingLoss, best, runDir, adapterDir, adapterBytes, stoppedBy, lossHash } = result;
  const why = reasons[stoppedBy] ?? "";
  const speed = `${count(metrics.numTokens)} tokens, ${Math.round(metrics.trainTokensPerSecond)} tokens/s`;
  const memory = `peak memory ${bytes(metrics.peakMemoryBytes)}`;
  const done = `${pc.green("done")}   ${plural(globalStep, "step")} in ${duration(metrics.trainRuntime)}${why}, ${speed}, ${memory}`;
  const finished = `${pc.green("finished")} before: ${plural(globalStep, "step")}${why}; nothing was trained now`;
  const curve = losses.length === 0 ? "" : `${sparkline(losses, 40)}  `;
  const run = display(runDir);
  return [
    losses.length === 0 ? finished : done,
    `loss   ${curve}mean ${significant(trainingLoss)}, hash ${shortHash(lossHash)}`,
    ...(reserved === null ? [] : [`memory ${deviceMemory(reserved, metrics.enginePeakBytes)}`]),
    ...(result.difficulty === null ? [] : [difficultyLine(result.difficulty)]),
    ...estimateLine(result),
    ...evalLine(result),
    ...(best === null ? [] : [`best   ${best.metric} ${significant(best.value)} at step ${best.step}`]),
    `saved  ${display(adapterDir)} (${bytes(adapterBytes)}), ${run}/report.html`,
    `next   ${pc.bold(`tunesmith chat ${run}`)}`,
    `       tunesmith eval ${run} --data FILE`,
    `       tunesmith export gguf ${run} --output model.gguf`,
  ];
}

/** What the engine was said to take, against what it took. */
function estimateLine({ estimatedBytes: said, metrics: { enginePeakBytes: took } }: Result): string[] {
  if (said === 0) return [];
  return [
    `memory ${bytes(took)} held by the engine at its peak, ${bytes(said)} estimated (${percent(took / said)} of the estimate)`,
  ];
}

function evalLine({ evalBefore, evalAfter }: Result): string[] {
  if (evalAfter === null) return [];
  const before = evalBefore === null ? "" : `${significant(evalBefore.evalLoss)} before → `;
  const line = `eval   loss ${before}${significant(evalAfter.evalLoss)} after`;
  const { "evalRewards/margins": margin, "evalRewards/accuracies": preferred } = evalAfter;
  // The loss of pairs is no mean over tokens, so that nothing has its perplexity.
  if (margin !== undefined && preferred !== undefined) return [`${line}, ${pairFields(preferred, margin)}`];
  const perplexity = (loss: number) => significant(Math.exp(loss));
  const was = evalBefore === null ? "" : `${perplexity(evalBefore.evalLoss)} → `;
  return [`${line}, perplexity ${was}${perplexity(evalAfter.evalLoss)}`];
}

/** What it took to order rows by what the model finds hard. */
function difficultyLine({ difficulty, rows, measured, fromCache, tokens, seconds }: DifficultyReport): string {
  const cached = fromCache === 0 ? "" : ` (${fromCache} from the cache)`;
  return `order  ${difficulty} of ${plural(rows, "row")} measured ${plural(measured, "time")}${cached}, ${count(tokens)} tokens in ${duration(seconds)}`;
}

function deviceMemory(reserved: number, peak: number): string {
  return `${bytes(peak)} of the device at the most, ${bytes(Math.max(0, peak - reserved))} of it for training`;
}
