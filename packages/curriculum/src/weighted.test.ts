import { OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { contextOf } from "./testing/context.ts";
import { weightedSampler } from "./weighted.ts";

const weights = [0, 1, 5, 0.5, 3.5, 0];
const context = contextOf(weights.map((_, row) => row + 1));
const make = async (given: readonly number[]) =>
  weightedSampler(({ rowIds: [row] }) => given[row as number] as number)(context);

test("rows are drawn as often as their weights say, with replacement", async () => {
  const sampler = await make(weights);
  const seen = weights.map(() => 0);
  const draws = 2000 * weights.length;
  for (let epoch = 0; epoch < 2000; epoch += 1)
    for (const row of Array.from(await sampler.epoch(epoch))) seen[row] = (seen[row] ?? 0) + 1;
  expect(sampler.size(0)).toBe(weights.length);
  for (const [row, weight] of weights.entries()) {
    const share = weight / 10;
    // Five standard deviations of a binomial count; exactly none without weight.
    expect(Math.abs((seen[row] ?? 0) - draws * share)).toBeLessThanOrEqual(5 * Math.sqrt(draws * share * (1 - share)));
  }
});

test("a row of weight 0 is not drawn where a number drawn is rounded to 0 or to the sum of all", async () => {
  const sampler = await make([0, 0, Number.MIN_VALUE, 0, 0, 0]);
  for (let epoch = 0; epoch < 5; epoch += 1) expect(await sampler.epoch(epoch)).toEqual(new Int32Array(6).fill(2));
});

test("an epoch follows from seed and epoch alone", async () => {
  expect(await (await make(weights)).epoch(7)).toEqual(await (await make(weights)).epoch(7));
  expect(await (await make(weights)).epoch(7)).not.toEqual(await (await make(weights)).epoch(8));
});

test.each([
  [[1, 1, -1, 1, 1, 1], /for row 2, got -1/u],
  [[1, Number.NaN, 1, 1, 1, 1], /for row 1, got NaN/u],
  [[1, 1, 1, 1, 1, Number.POSITIVE_INFINITY], /for row 5, got Infinity/u],
  [[0, 0, 0, 0, 0, 0], /a finite sum above 0, got the sum 0/u],
  [new Array<number>(6).fill(Number.MAX_VALUE), /got the sum Infinity/u],
])("weights that say nothing are refused: %j", async (given, message) => {
  await expect(make(given)).rejects.toThrow(OptionError);
  await expect(make(given)).rejects.toThrow(message);
});

test("weights may go by what the model finds, from the newest measurement on", async () => {
  const sampler = await weightedSampler(({ rowIds: [row] }, score) => (row === 0 ? 0 : score), { measures: "loss" })(
    context,
  );
  expect(sampler.measures).toBe("loss");
  const drawn = async (scores: readonly number[]) => {
    const measured = { scores: Float32Array.from(scores), easiestFirst: new Int32Array(), taken: new Int32Array() };
    const epochs = Array.from({ length: 50 }, async (_, epoch) => Array.from(await sampler.epoch(epoch, measured)));
    return new Set((await Promise.all(epochs)).flat());
  };
  expect(await drawn([9, 0, 2, 0, 1, 0])).toEqual(new Set([2, 4]));
  expect(await drawn([9, 3, 0, 0, 0, 0])).toEqual(new Set([1]));
  await expect(drawn([1, 1, Number.NaN, 1, 1, 1])).rejects.toThrow(/\[weight\] .* for row 2, got NaN/u);
});
