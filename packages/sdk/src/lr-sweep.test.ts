import { expect, test } from "vitest";
import { lrSweep } from "./lr-sweep.ts";

test("rates are the same factor apart, and begin and end where they are told to", () => {
  expect(lrSweep({ from: 1e-6, to: 1e-4, count: 5 })).toEqual([1e-6, 3.162e-6, 1e-5, 3.162e-5, 1e-4]);
  const seven = lrSweep({ from: 2e-6, to: 1.28e-4 });
  expect(seven).toEqual([2e-6, 4e-6, 8e-6, 1.6e-5, 3.2e-5, 6.4e-5, 1.28e-4]);
  expect(lrSweep({ from: 1e-5, to: 1e-5, count: 1 })).toEqual([1e-5]);
});

test("what is no rate or count is named", () => {
  for (const wrong of [
    { from: 0, to: 1 },
    { from: 2, to: 1 },
    { from: 1e-5, to: Number.NaN },
    { from: "a" as never, to: 1 },
  ])
    expect(() => lrSweep(wrong)).toThrow("[lrSweep] expected rates above 0");
  for (const count of [0, 1, 2.5]) expect(() => lrSweep({ from: 1, to: 2, count })).toThrow("at least 2 rates");
});
