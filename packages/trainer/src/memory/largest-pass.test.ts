import { expect, test } from "vitest";
import { turns } from "../../../core/src/testing/event-loop-turns.ts";
import { largestPass } from "./largest-pass.ts";

test("finds the largest pass of the steps to come", async () => {
  const lengths = [10, 40, 5, 60, 20];
  const step = (...microBatches: number[][]) =>
    microBatches.map((indices) => indices.map((index) => ({ length: lengths[index] ?? 0 })));
  expect(await largestPass([step([0, 1], [2]), step([4])], 50)).toEqual({ tokens: 50, longest: 40, supervised: 50 });
  expect(await largestPass([step([0, 1], [2])], 1000)).toEqual({ tokens: 55, longest: 40, supervised: 55 });
  // A sequence longer than the budget is a pass of its own.
  expect(await largestPass([step([3, 4])], 30)).toEqual({ tokens: 60, longest: 60, supervised: 60 });
});

test("the event loop turns between any two steps that are looked at", async () => {
  const steps = Array.from({ length: 1000 }, () => [[{ length: 5 }, { length: 7 }]]);
  expect(await turns(() => largestPass(steps, 50))).toBeGreaterThanOrEqual(1000);
});
