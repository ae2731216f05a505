// Schedules that change the learning rate by a metric of the evaluations: torch's ReduceLROnPlateau, and GreedyLR (arXiv:2512.14527).
import { type SchedulerOptions, watchesMetric } from "@tunesmith/core";
import * as z from "zod";

/** What such a schedule remembers between two evaluations; a part of `trainer_state.json`. */
export interface WatchState {
  /** Rates as they are now, in the order of the peaks. */
  rates: number[];
  /** Best value so far; null before the first. */
  best: number | null;
  /** Evaluations in a row that were no better, and those that were. */
  bad: number;
  good: number;
  /** Evaluations still to come in which nothing is counted. */
  cooldown: number;
  warmup: number;
  /** Cuts at the lowest rate still to come before everything begins from the start. */
  resets: number;
  /** The newest values, and their running total; empty where they are not smoothed. */
  window: number[];
  windowSum: number;
}

const count = z.int().nonnegative();
// Values need not be finite: JSON has null in place of those that are not.
const value = z
  .number()
  .nullable()
  .transform((given) => given ?? Number.NaN);

/** A {@link WatchState} as it is read back. */
export const watchStateSchema: z.ZodType<WatchState> = z.object({
  rates: z.array(z.number().nonnegative()),
  best: z.number().nullable(),
  bad: count,
  good: count,
  cooldown: count,
  warmup: count,
  resets: count,
  window: z.array(value),
  windowSum: value,
});

type Watching = Extract<SchedulerOptions, { type: "reduce_lr_on_plateau" | "greedy" }>;
type Greedy = Extract<SchedulerOptions, { type: "greedy" }>;

function isWatching(options: SchedulerOptions): options is Watching {
  return watchesMetric(options.type);
}

/** The state before the first evaluation; null for a schedule that watches nothing. */
export function firstWatchState(options: SchedulerOptions, peaks: readonly number[]): WatchState | null {
  if (!isWatching(options)) return null;
  const resets = options.type === "greedy" ? options.resetStart : 0;
  return { rates: [...peaks], best: null, bad: 0, good: 0, cooldown: 0, warmup: 0, resets, window: [], windowSum: 0 };
}

/** What an evaluation changes. `peaks` are the rates that the state began with. */
export function watch(options: SchedulerOptions, state: WatchState, peaks: readonly number[], metric: number): void {
  if (!isWatching(options)) return;
  if (options.type === "greedy") watchGreedily(options, state, peaks, metric);
  else watchForPlateau(options, state, metric);
}

function watchForPlateau(options: Watching, state: WatchState, metric: number): void {
  compare(options, state, metric);
  if (state.cooldown > 0) {
    state.cooldown -= 1;
    state.bad = 0;
  }
  if (state.bad <= options.patience) return;
  cut(options, state);
  Object.assign(state, { cooldown: options.cooldown, bad: 0 });
}

function watchGreedily(options: Greedy, state: WatchState, peaks: readonly number[], metric: number): void {
  const current = options.smooth ? smoothed(options, state, metric) : metric;
  if (state.cooldown > 0 || state.warmup > 0) {
    if (state.cooldown > 0) state.cooldown -= 1;
    else state.warmup -= 1;
    Object.assign(state, { bad: 0, good: 0 });
    return;
  }
  compare(options, state, current);
  if (state.good > options.patience) {
    state.rates = state.rates.map((rate) => {
      const raised = Math.min(rate / options.factor, options.maxLr);
      return raised - rate > options.eps ? raised : rate;
    });
    Object.assign(state, { resets: options.resetStart, warmup: options.warmup, good: 0 });
  } else if (state.bad > options.patience) {
    cut(options, state);
    const atLowest = state.rates.every((rate) => rate <= options.minLr);
    if (atLowest) state.resets -= 1;
    if (atLowest && state.resets <= 0) Object.assign(state, firstWatchState(options, peaks));
    Object.assign(state, { cooldown: options.cooldown, bad: 0 });
  }
}

function compare({ mode, threshold, thresholdMode }: Watching, state: WatchState, metric: number): void {
  const sign = mode === "min" ? -1 : 1;
  const best = state.best ?? sign * Number.NEGATIVE_INFINITY;
  const limit = thresholdMode === "rel" ? best * (1 + sign * threshold) : best + sign * threshold;
  if (mode === "min" ? metric < limit : metric > limit) {
    Object.assign(state, { best: metric, bad: 0, good: state.good + 1 });
  } else {
    Object.assign(state, { bad: state.bad + 1, good: 0 });
  }
}

function cut({ factor, minLr, eps }: Watching, state: WatchState): void {
  state.rates = state.rates.map((rate) => {
    const lower = Math.max(rate * factor, minLr);
    return rate - lower > eps ? lower : rate;
  });
}

/** Mean of the newest values. The total runs along as transformers' does, so that it has the same last bits. */
function smoothed({ windowSize }: Greedy, state: WatchState, metric: number): number {
  state.window.push(metric);
  state.windowSum += metric;
  if (state.window.length > windowSize) state.windowSum -= state.window.shift() as number;
  return state.windowSum / state.window.length;
}
