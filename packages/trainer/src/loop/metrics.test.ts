import { expect, test } from "vitest";
import { collect, type DeclaredMetrics, lineOf, type SumsByName, valuesOf } from "./metrics.ts";

const declared: DeclaredMetrics["log"] & Record<string, "ratio" | "mean" | "last"> = {
  loss: "ratio",
  meanTokenAccuracy: "mean",
  "rewards/chosen": "last",
};
const microBatch = (loss: [number, number], accuracy: [number, number], reward: [number, number]) => ({
  loss: { sum: loss[0], weight: loss[1] },
  meanTokenAccuracy: { sum: accuracy[0], weight: accuracy[1] },
  "rewards/chosen": { sum: reward[0], weight: reward[1] },
});

test("micro-batches become one line: by weight, each alike, or the last one's", () => {
  const log: SumsByName = {};
  collect(log, declared, microBatch([6, 2], [1, 2], [9, 3]));
  collect(log, declared, microBatch([6, 6], [3, 3], [8, 4]));
  expect(valuesOf(log, declared)).toEqual({ loss: 12 / 8, meanTokenAccuracy: 0.75, "rewards/chosen": 2 });
});

test("a micro-batch with nothing to measure counts as 0, and so does a line without any", () => {
  const log: SumsByName = {};
  expect(valuesOf(log, declared)).toEqual({ loss: 0, meanTokenAccuracy: 0, "rewards/chosen": 0 });
  collect(log, declared, microBatch([0, 0], [0, 0], [0, 0]));
  collect(log, declared, microBatch([1, 1], [1, 1], [1, 1]));
  expect(valuesOf(log, declared)).toEqual({ loss: 1, meanTokenAccuracy: 0.5, "rewards/chosen": 1 });
});

test("sums survive a checkpoint, and go on from there", () => {
  const whole: SumsByName = {};
  const halves: SumsByName = {};
  const [first, second] = [microBatch([0.1, 3], [1, 3], [1, 1]), microBatch([0.2, 7], [2, 3], [2, 1])];
  for (const entry of [first, second]) collect(whole, declared, entry);
  collect(halves, declared, first);
  const resumed: SumsByName = JSON.parse(JSON.stringify(halves));
  collect(resumed, declared, second);
  expect(resumed).toEqual(whole);
});

test("lines of metrics.jsonl have names in snake_case", () => {
  expect(lineOf({ evalMeanTokenAccuracy: 1, "rewards/chosen": 2 })).toEqual({
    eval_mean_token_accuracy: 1,
    "rewards/chosen": 2,
  });
});
