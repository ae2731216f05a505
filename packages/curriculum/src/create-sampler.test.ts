import { ArgumentError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { createSampler, type SamplingStrategy } from "./create-sampler.ts";
import { recommendEpochs } from "./epochs.ts";

const make = (strategy: SamplingStrategy, lengths: number[], simpleMaxLength = 256) =>
  createSampler({ strategy, lengths, seed: 5, simpleMaxLength, batchSize: 2 });

const all = (n: number) => Array.from({ length: n }, (_, index) => index);

test("sequential is the order of the data set, every epoch", () => {
  const sampler = make("sequential", [3, 1, 2]);
  expect([...sampler.epoch(0)]).toEqual([0, 1, 2]);
  expect([...sampler.epoch(7)]).toEqual([0, 1, 2]);
});

test("random epochs differ, and need no earlier epoch", () => {
  const lengths = new Array<number>(50).fill(9);
  const sampler = make("random", lengths);
  expect([...sampler.epoch(3)].sort((a, b) => a - b)).toEqual(all(50));
  expect(sampler.epoch(3)).not.toEqual(sampler.epoch(2));
  expect(make("random", lengths).epoch(3)).toEqual(sampler.epoch(3));
});

test("staged begins with the simple examples, short first, then takes everything", () => {
  const sampler = make("staged", [300, 20, 256, 10, 257, 20]);
  expect([...sampler.epoch(0)]).toEqual([3, 1, 5, 2]);
  expect([sampler.size(0), sampler.size(1)]).toEqual([4, 6]);
  expect([...sampler.epoch(1)].sort()).toEqual(all(6));
  expect(sampler.warnings).toEqual([]);
});

test("staged says so when nothing, or everything, is simple", () => {
  const hard = make("staged", [300, 400]);
  expect(hard.warnings[0]).toMatch(/no example has at most 256 tokens \(the shortest has 300\)/);
  expect(hard.size(0)).toBe(2);
  const easy = make("staged", [30, 4]);
  expect(easy.warnings[0]).toMatch(/all 2 examples have at most 256 tokens/);
  expect([...easy.epoch(0)]).toEqual([1, 0]);
});

test("nothing to sample is a mistake of the caller", () => {
  expect(() => make("random", [])).toThrow(ArgumentError);
});

test("advice on epochs follows the size of the data set", () => {
  expect([99, 999, 1_000, 9_999, 10_000, 99_999, 100_000].map((rows) => recommendEpochs(rows).recommended)).toEqual([
    3, 3, 2, 2, 1, 1, 1,
  ]);
  expect(recommendEpochs(500)).toMatchObject({ min: 3, max: 5, recommended: 3 });
  expect(recommendEpochs(1_000_000)).toMatchObject({ min: 0.5, max: 1, recommended: 1 });
});
