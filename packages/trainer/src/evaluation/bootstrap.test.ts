import { expect, test } from "vitest";
import { intervals, percentiles } from "./bootstrap.ts";
import type { RowValues } from "./sums.ts";

const signal = new AbortController().signal;

/** A metric whose value of each row is given; null where it says nothing of it. */
function column(values: readonly (number | null)[], isExponential = false): RowValues {
  return {
    ...{ metric: "own", better: "higher", isExponential },
    sum: Float64Array.from(values, (value) => value ?? 0),
    weight: Float64Array.from(values, (value) => Number(value !== null)),
  };
}

const rows = (count: number) => Int32Array.from({ length: count }, (_, n) => n);
const options = (count: number, more: object = {}) => {
  return { rows: rows(count), resamples: 1000, confidence: 0.95, seed: 3, stream: 0, signal, ...more };
};
const width = ([low, high]: [number, number]) => high - low;

test("the interval of a mean is as wide as the normal one of many rows, and holds it", async () => {
  // Half zeros and half ones: a standard deviation of 1/2.
  const values = Array.from({ length: 900 }, (_, n) => n % 2);
  const [found] = await intervals([[column(values)]], options(900));
  const normal = (2 * 1.96 * 0.5) / 30;
  expect(width(found?.model as [number, number]) / normal).toBeCloseTo(1, 1);
  expect(found?.model?.[0]).toBeLessThan(0.5);
  expect(found?.model?.[1]).toBeGreaterThan(0.5);
  const [half] = await intervals([[column(values)]], options(900, { confidence: 0.5 }));
  expect(width(half?.model as [number, number])).toBeLessThan(width(found?.model as [number, number]) / 2);
});

test("the difference of two models is that of the same rows", async () => {
  const values = Array.from({ length: 100 }, (_, n) => (n * 37) % 100);
  const better = values.map((value) => value + 2);
  const [found] = await intervals([[column(better)], [column(values)]], options(100));
  expect(width(found?.base as [number, number])).toBeGreaterThan(5);
  expect(found?.difference?.map((bound) => Math.round(1e9 * bound) / 1e9)).toEqual([2, 2]);
});

test("draws depend on the seed alone, an exponential is that of each set, and what is known of one row has no interval", async () => {
  const values = [1, 2, 3, 4, 5];
  const draw = async (more: object) => (await intervals([[column(values)]], options(5, more)))[0]?.model;
  expect(await draw({})).toEqual(await draw({}));
  expect(await draw({ seed: 4, resamples: 200 })).not.toEqual(await draw({ resamples: 200 }));
  expect(await draw({ stream: 1, resamples: 200 })).not.toEqual(await draw({ resamples: 200 }));
  const plain = (await draw({})) as [number, number];
  const [exponential] = await intervals([[column(values, true)]], options(5));
  // Percentiles lie between two sets that are equal here or next to each other.
  expect(exponential?.model?.[0]).toBeCloseTo(Math.exp(plain[0]), 6);
  const [single] = await intervals([[column([1, null, null])]], options(3));
  expect(single).toEqual({ model: null, base: null, difference: null });
  await expect(intervals([[column(values)]], options(5, { signal: AbortSignal.abort() }))).rejects.toThrow();
});

test("percentiles lie between two values as numpy's do, and leave out what is no number", () => {
  expect(percentiles(Float64Array.of(4, 1, Number.NaN, 2, 3), 0.5)).toEqual([1.75, 3.25]);
  expect(percentiles(Float64Array.of(Number.NaN), 0.5)).toBeNull();
});
