// The learning rates of a step: by the schedule of the options, by what it has seen in evaluations, by a program's own function, or as
// callbacks have set them.
import { CallbackError } from "@tunesmith/core";
import type { ActiveRun } from "./active-run.ts";
import { callHook } from "./hooks/call-hook.ts";
import type { LrScheduler } from "./lr-scheduler.ts";
import { learningRateAt } from "./schedule.ts";
import { firstWatchState, watch } from "./watching-schedule.ts";

/** The rate that is reported, and one for each parameter group in the session's order. */
export interface StepRates {
  learningRate: number;
  groups: Float64Array;
}

/** The learning rates of a step, from 1 on. */
export async function ratesOf(run: ActiveRun, step: number): Promise<StepRates> {
  const { inputs, schedule, state } = run;
  const peaks = peaksOf(run);
  const { lrScheduler = null } = inputs;
  const set = setRate(state, step);
  const rate = set ?? (lrScheduler === null ? null : await ownScheduleRate(run, lrScheduler, step));
  if (rate !== null) {
    const share = (peak: number) => (schedule.learningRate === 0 ? rate : (peak / schedule.learningRate) * rate);
    return split([rate, ...peaks.slice(1).map(share)]);
  }
  return split(state.schedule?.rates ?? peaks.map((peak) => learningRateAt(step, schedule, peak)));
}

/** Tells a schedule that watches a metric what an evaluation has given. */
export function watchEvaluation(run: ActiveRun, metric: number): void {
  const { inputs, schedule, state } = run;
  const peaks = peaksOf(run);
  if ((inputs.lrScheduler ?? null) !== null) return;
  state.schedule ??= firstWatchState(schedule.options, peaks);
  if (state.schedule !== null) watch(schedule.options, state.schedule, peaks, metric);
}

/** The peak of the run, and that of each group. */
function peaksOf({ schedule, session }: ActiveRun): number[] {
  return [schedule.learningRate, ...session.info.parameterGroups.map(({ rate }) => rate)];
}

function split([learningRate = 0, ...groups]: readonly number[]): StepRates {
  return { learningRate, groups: Float64Array.from(groups) };
}

/** The rate that callbacks have set; null where they have not, or have given it back to the schedule. */
function setRate({ learning_rate_override: own }: ActiveRun["state"], step: number): number | null {
  if (own !== null) own.fromStep ??= step;
  return own?.learningRate ?? null;
}

async function ownScheduleRate(
  { limits, schedule, state }: ActiveRun,
  lrScheduler: LrScheduler,
  step: number,
): Promise<number> {
  const { afterStep, learningRate, totalSteps, warmupSteps } = schedule;
  const { epoch, eval_last: evaluation } = state;
  const hook = { label: "lrScheduler", expected: `a learning rate for step ${step}`, kind: "function" } as const;
  const context = { learningRate, totalSteps, warmupSteps, epoch, evaluation };
  const rate: unknown = await callHook(hook, limits, () => lrScheduler(step - afterStep, context));
  if (typeof rate === "number" && Number.isFinite(rate) && rate >= 0) return rate;
  throw new CallbackError(
    `[lrScheduler] expected a finite number of at least 0 for step ${step}, got ${String(rate)}; fix the function`,
  );
}
