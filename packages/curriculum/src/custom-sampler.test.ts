import { OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { type CustomSampler, customSampler } from "./custom-sampler.ts";
import { contextOf } from "./testing/context.ts";

const context = contextOf([5, 3, 9]);
const make = (sampler: unknown) => customSampler(() => sampler as CustomSampler, context);

test("an order of one's own: rows left out, rows twice", async () => {
  const sampler = await customSampler(
    ({ lengths }) => ({
      size: (epoch) => (epoch === 0 ? 2 : 4),
      epoch: (epoch) => (epoch === 0 ? [1, 0] : [lengths.length - 1, 0, 0, 1]),
    }),
    context,
  );
  expect([...(await sampler.epoch(0))]).toEqual([1, 0]);
  expect([...(await sampler.epoch(1))]).toEqual([2, 0, 0, 1]);
  expect(sampler.size(1)).toBe(4);
});

test.each([
  [undefined, /expected \{ size, epoch \}/u],
  [{ size: () => 3 }, /expected \{ size, epoch \}/u],
])("what is no sampler is refused: %o", async (sampler, message) => {
  await expect(make(sampler)).rejects.toThrow(OptionError);
  await expect(make(sampler)).rejects.toThrow(message);
});

test.each([
  [3, [0, 1], /the 3 indices of epoch 0 that size promises, got 2/u],
  [3, null, /got null/u],
  [3, [0, 1, 3], /indices below 3 in epoch 0, got 3/u],
  [3, [0, 1, 0.5], /got 0\.5/u],
  [3, [0, 1, -1], /got -1/u],
  [0, [], /a number of rows in epoch 0, got 0/u],
  [Number.NaN, [], /got NaN/u],
])("an invalid order is refused when it is asked for: %j %j", async (size, order, expected) => {
  const sampler = await make({ size: () => size, epoch: () => order });
  await expect(sampler.epoch(0)).rejects.toThrow(expected);
});
