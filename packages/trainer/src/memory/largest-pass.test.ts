import { expect, test } from "vitest";
import { largestPass } from "./largest-pass.ts";

test("finds the largest pass of the steps to come", () => {
  const lengths = [10, 40, 5, 60, 20];
  const step = (...microBatches: number[][]) =>
    microBatches.map((indices) => indices.map((index) => ({ length: lengths[index] ?? 0 })));
  expect(largestPass([step([0, 1], [2]), step([4])], 50)).toEqual({ tokens: 50, longest: 40, supervised: 50 });
  expect(largestPass([step([0, 1], [2])], 1000)).toEqual({ tokens: 55, longest: 40, supervised: 55 });
  // A sequence longer than the budget is a pass of its own.
  expect(largestPass([step([3, 4])], 30)).toEqual({ tokens: 60, longest: 60, supervised: 60 });
});
