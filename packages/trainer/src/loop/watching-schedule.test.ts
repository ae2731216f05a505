import { parseOptions, schedulerOptions, trainingArgumentsSchema } from "@tunesmith/core";
import { expect, test } from "vitest";
import { firstWatchState, type WatchState, watch } from "./watching-schedule.ts";

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
