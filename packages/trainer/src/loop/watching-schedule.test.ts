import { parseOptions, schedulerOptions, trainingArgumentsSchema } from "@tunesmith/core";
import { expect, test } from "vitest";
import { firstWatchState, type WatchState, watch, watchStateSchema } from "./watching-schedule.ts";

function follow(lrSchedulerType: string, lrSchedulerKwargs: object, metrics: readonly number[], peaks = [1]) {
  const options = schedulerOptions(parseOptions(trainingArgumentsSchema, { lrSchedulerType, lrSchedulerKwargs }));
  const state = firstWatchState(options, peaks) as WatchState;
  const rates = metrics.map((metric) => {
    watch(options, state, peaks, metric);
    return state.rates[0];
  });
  return { rates, state };
}

test("a plateau of more than patience evaluations cuts the rate, and none is counted while it cools down", () => {
  const kwargs = { factor: 0.5, patience: 1, cooldown: 2 };
  expect(follow("reduce_lr_on_plateau", kwargs, [3, 3, 3, 3, 3, 3, 3, 3]).rates).toEqual([
    1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25,
  ]);
  expect(follow("reduce_lr_on_plateau", { ...kwargs, minLr: 0.4 }, [3, 3, 3, 3, 3, 3, 3]).rates.at(-1)).toBe(0.4);
});

test("each group is cut from its own rate", () => {
  const { state } = follow("reduce_lr_on_plateau", { factor: 0.5, patience: 0 }, [1, 1], [1, 16]);
  expect(state.rates).toEqual([0.5, 8]);
});

test("greedy raises the rate while a metric improves, and begins from the start after enough cuts at the lowest", () => {
  const kwargs = { factor: 0.5, patience: 0, minLr: 0.5, maxLr: 4, resetStart: 2 };
  const { rates } = follow("greedy", kwargs, [5, 4, 3, 9, 9, 9, 9, 9]);
  expect(rates).toEqual([2, 4, 4, 2, 1, 0.5, 1, 2]);
});

test("what is not a number is no improvement, and a smoothed metric is the mean of the newest", () => {
  expect(follow("reduce_lr_on_plateau", { factor: 0.5, patience: 0 }, [1, Number.NaN]).rates).toEqual([1, 0.5]);
  const { state } = follow("greedy", { smooth: true, windowSize: 2 }, [1, 2, 6]);
  expect(state).toMatchObject({ window: [2, 6], windowSum: 8 });
});

/** Each with the rate after every metric, worked out by hand; the peak is 1. */
const table: [what: string, type: string, kwargs: object, metrics: number[], rates: number[]][] = [
  ["more is better", "reduce_lr_on_plateau", { mode: "max", threshold: 0.5 }, [1, 1.4, 1.6, 2], [1, 0.5, 0.5, 0.25]],
  [
    "a threshold in the metric's own unit",
    "reduce_lr_on_plateau",
    { threshold: 1, thresholdMode: "abs" },
    [5, 4.5, 3.9],
    [1, 0.5, 0.5],
  ],
  [
    "more is better by a difference",
    "reduce_lr_on_plateau",
    { mode: "max", threshold: 1, thresholdMode: "abs" },
    [5, 5.5, 6.5],
    [1, 0.5, 0.5],
  ],
  ["a small change is not made", "reduce_lr_on_plateau", { eps: 0.3 }, [1, 1, 1], [1, 0.5, 0.5]],
  ["nor a small rise", "greedy", { maxLr: 1.2, eps: 0.3 }, [5, 4], [1, 1]],
  ["nothing is counted after a rise", "greedy", { warmup: 2 }, [5, 4, 3, 2], [2, 2, 2, 4]],
  ["nothing is counted after a cut", "greedy", { cooldown: 2 }, [5, 9, 9, 9, 9], [2, 1, 1, 1, 0.5]],
  [
    "a rise takes back the cuts at the lowest rate",
    "greedy",
    { minLr: 0.5, resetStart: 2 },
    [5, 9, 9, 4, 9, 9],
    [2, 1, 0.5, 1, 0.5, 1],
  ],
  ["the mean decides, not the newest", "greedy", { smooth: true, windowSize: 2 }, [4, 0, 3], [2, 4, 8]],
];

test.each(table)("%s", (_, type, kwargs, metrics, rates) => {
  const usual = { factor: 0.5, patience: 0, ...(type === "greedy" && { minLr: 0.01, maxLr: 100 }) };
  expect(follow(type, { ...usual, ...kwargs }, metrics).rates).toEqual(rates);
});

test("a state comes back from JSON as it was, with values that JSON has not", () => {
  const { state } = follow("greedy", { smooth: true, windowSize: 3 }, [1, Number.NaN]);
  expect(watchStateSchema.parse(JSON.parse(JSON.stringify(state)))).toEqual(state);
});
