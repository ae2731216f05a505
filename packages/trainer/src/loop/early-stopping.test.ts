import { expect, test } from "vitest";
import { emptyBest, observe } from "./early-stopping.ts";

/** Evaluations without an improvement after each value. */
function counters(values: number[], { greaterIsBetter = false, threshold = 0 } = {}): number[] {
  const state = emptyBest();
  return values.map((value, index) => {
    observe(state, value, index + 1, { greaterIsBetter, threshold });
    return state.withoutImprovement;
  });
}

test("an improvement resets the patience; an equal value does not", () => {
  expect(counters([5, 4, 4, 6, 3, 7])).toEqual([0, 0, 1, 2, 0, 1]);
  expect(counters([0.1, 0.2, 0.1], { greaterIsBetter: true })).toEqual([0, 0, 1]);
});

test("a gain within the threshold moves the best but not the patience", () => {
  const state = emptyBest();
  const options = { greaterIsBetter: false, threshold: 0.5 };
  expect(observe(state, 5, 1, options)).toBe(true);
  expect(observe(state, 4.8, 2, options)).toBe(true);
  expect(state).toMatchObject({ best: 4.8, bestStep: 2, withoutImprovement: 1 });
  expect(observe(state, 4.2, 3, options)).toBe(true);
  expect(state.withoutImprovement).toBe(0);
});

test("a value that is no number is never the best", () => {
  expect(counters([Number.NaN, 4, Number.NaN])).toEqual([1, 0, 1]);
});
