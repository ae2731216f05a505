import type { Batch, Coefficients } from "@tunesmith/core";
import { expect, test } from "vitest";
import { letterVocab as vocab } from "../../../core/src/testing/letter-tokenizer.ts";
import { addCoefficients, sequenceSums, tokenValues } from "./bigram.ts";

const batch: Batch = {
  inputIds: Int32Array.of(3, 5, 3, 9, 5, 3),
  labels: Int32Array.of(-100, 5, 3, -100, 7, 3),
  positions: Int32Array.of(0, 1, 2, 0, 1, 2),
  sequenceStarts: Int32Array.of(0, 3, 6),
  microBatch: Int32Array.of(0, 0),
  rowIds: Int32Array.of(0, 1),
};
const supervised = [1, 2, 4, 5];
const table = Float64Array.from({ length: vocab * vocab }, (_, i) => 2 * Math.sin(i * 12.9898));

test("values are 0 where there is no label, and give the sums of each sequence", () => {
  const { logProb, entropy, hit } = tokenValues(table, batch);
  expect([...logProb].flatMap((value, t) => (value === 0 ? [] : [t]))).toEqual(supervised);
  const sums = sequenceSums(table, batch, { type: "nll" }, null);
  expect([...sums.tokens]).toEqual([2, 2]);
  expect(sums.lossSum[0]).toBeCloseTo(-(logProb[1] as number) - (logProb[2] as number), 5);
  expect(sums.entropySum[1]).toBeCloseTo((entropy[4] as number) + (entropy[5] as number), 5);
  expect(sums.correct[0]).toBe((hit[1] as number) + (hit[2] as number));
});

test.each(["logProb", "entropy", "logSumExp", "meanLogProb"] as const)("the gradient of %s is its slope", (name) => {
  const weights = Float32Array.of(9, 0.5, -2, 9, 1.5, 0.25);
  const value = (from: Float64Array) => {
    const values = tokenValues(from, batch)[name];
    return supervised.reduce((sum, t) => sum + (weights[t] as number) * (values[t] as number), 0);
  };
  const gradient = new Float64Array(vocab * vocab);
  addCoefficients(table, batch, { [name]: weights } satisfies Coefficients, gradient);
  for (const place of [3 * vocab + 5, 3 * vocab + 40, 5 * vocab + 3, 5 * vocab + 7, 9 * vocab + 5]) {
    const moved = (by: number) => value(table.map((logit, i) => (i === place ? logit + by : logit)));
    // Values are float32: steps must be far above their last digit.
    expect(gradient[place], `place ${place}`).toBeCloseTo((moved(0.05) - moved(-0.05)) / 0.1, 3);
  }
});

test("the gradient of nll is that of −logProb, and weights scale it", () => {
  const weights = Float32Array.of(0, 2, 1, 0, 0.5, 3);
  const [one, two] = [new Float64Array(vocab * vocab), new Float64Array(vocab * vocab)];
  sequenceSums(table, { ...batch, weights }, { type: "nll" }, one);
  addCoefficients(table, batch, { logProb: weights.map((weight) => -weight) }, two);
  expect(one).toEqual(two);
  expect(one.some((slope) => slope !== 0)).toBe(true);
});

test("smoothing and z-loss have the slope of their loss, and dft that of nll times p", () => {
  const place = 3 * vocab + 40;
  const smoothed = { type: "nll", labelSmoothing: 0.2, zLoss: 0.1 } as const;
  const moved = (by: number) =>
    sequenceSums(table.with(place, (table[place] as number) + by), batch, smoothed, null).lossSum.reduce(
      (a, b) => a + b,
    );
  const gradient = new Float64Array(vocab * vocab);
  sequenceSums(table, batch, smoothed, gradient);
  expect(gradient[place]).toBeCloseTo((moved(1e-4) - moved(-1e-4)) / 2e-4, 6);
  const [one, two] = [new Float64Array(vocab * vocab), new Float64Array(vocab * vocab)];
  const { logProb } = tokenValues(table, batch);
  sequenceSums(table, batch, { type: "dft" }, one);
  addCoefficients(table, batch, { logProb: logProb.map((value) => (value === 0 ? 0 : -Math.exp(value))) }, two);
  expect(one[place]).toBeCloseTo(two[place] as number, 6);
  expect(one[place]).not.toBe(0);
});
