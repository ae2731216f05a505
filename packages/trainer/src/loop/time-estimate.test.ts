import { expect, test } from "vitest";
import { type TimeEstimate, toldTime, withStep } from "./time-estimate.ts";

/** What is told of a run whose first step ends after 10 s and every later one 2 s after the one before. */
function told(totalSteps: number, from = 1): TimeEstimate["told"] {
  let estimate: TimeEstimate | null = null;
  for (let step = from; step <= totalSteps; step += 1)
    estimate = withStep(estimate, { step, totalSteps }, 10 + 2 * (step - 1));
  return toldTime(estimate, totalSteps);
}

test("estimates after a tenth of the steps, at least 2 and at most 20, without what the first step warms up", () => {
  expect(told(100)).toEqual({ step: 10, seconds: 10 + 2 * 99 });
  expect(told(1000)).toEqual({ step: 20, seconds: 10 + 2 * 999 });
  expect(told(3)).toEqual({ step: 2, seconds: 14 });
  expect([told(1), told(2)]).toEqual([null, null]);
  // One that was resumed from a checkpoint without it.
  expect(told(100, 5)).toBeNull();
});

test("tells nothing of a run that took other steps than those it was to have", () => {
  const estimate = { totalSteps: 100, first: { seconds: 1 }, told: { step: 10, seconds: 100 } };
  expect([toldTime(estimate, 100), toldTime(estimate, 40), toldTime(estimate, 200), toldTime(null, 100)]).toEqual([
    estimate.told,
    null,
    null,
    null,
  ]);
});
