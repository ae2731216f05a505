import { expect, test } from "vitest";
import { stoppedBy } from "./median-rule.ts";

/** An arm with these losses after 10, 20, … steps. */
const arm = (...losses: number[]) => losses.map((evalLoss, n) => ({ step: 10 * (n + 1), evalLoss }));

test("an arm whose lowest loss is above the median of the others' averages so far is stopped", () => {
  const others = [arm(3, 2, 1), arm(3, 3, 3), arm(4, 2, 2)];
  // Averages up to step 20: 2.5, 3, 3.
  expect(stoppedBy(arm(4, 3.1), others)).toBe(
    "its lowest eval loss 3.100 is above 3.000, the median of 3 arms up to step 20",
  );
  expect(stoppedBy(arm(4, 3), others)).toBeNull();
  // Lowest so far, not the newest.
  expect(stoppedBy(arm(2.4, 9), others)).toBeNull();
  // Later evaluations of others do not count: up to step 30 the averages are 2, 3, 2.67.
  expect(stoppedBy(arm(4, 3, 2.7), others)).toMatch(/above 2\.667, the median of 3 arms up to step 30/u);
});

test("nothing is stopped before it has two evaluations and two arms have come as far", () => {
  expect(stoppedBy(arm(9), [arm(1), arm(1)])).toBeNull();
  expect(stoppedBy(arm(9, 9), [arm(1, 1), arm(1)])).toBeNull();
  expect(stoppedBy(arm(9, 9), [arm(1, 1), arm(2, 2)])).toContain("above 1.500");
  expect(stoppedBy([], [])).toBeNull();
});
