import { expect, test } from "vitest";
import { sparkline } from "./sparkline.ts";

test("draws a curve between its extremes in the width it has", () => {
  expect(sparkline([8, 7, 6, 5, 4, 3, 2, 1], 8)).toBe("█▇▆▅▄▃▂▁");
  expect(sparkline([1, 1, 8, 8], 2)).toBe("▁█");
  expect(sparkline([2, 2], 10)).toBe("▁▁");
  expect(sparkline([Number.NaN, 1, 2], 10)).toBe("▁█");
  expect(sparkline([], 10)).toBe("");
});
