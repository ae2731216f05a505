import { ArgumentError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { createSampler, type SamplerOptions, type SamplingStrategy } from "./create-sampler.ts";
import { recommendEpochs } from "./epochs.ts";
import { contextOf } from "./testing/context.ts";

const plain = {
  competenceSteps: null,
  initialCompetence: 0.01,
  stages: null,
  hardShare: 0,
  difficulty: "length",
  reverse: false,
} as const;
const make = (strategy: SamplingStrategy, lengths: number[], simpleMaxLength = 256) =>
  createSampler({ ...plain, strategy, simpleMaxLength }, contextOf(lengths));

const all = (n: number) => Array.from({ length: n }, (_, index) => index);

test("sequential is the order of the data set, every epoch", async () => {
  const sampler = await make("sequential", [3, 1, 2]);
  expect([...(await sampler.epoch(0))]).toEqual([0, 1, 2]);
  expect([...(await sampler.epoch(7))]).toEqual([0, 1, 2]);
});

test("random epochs differ, and need no earlier epoch", async () => {
  const lengths = new Array<number>(50).fill(9);
  const sampler = await make("random", lengths);
  expect([...(await sampler.epoch(3))].sort((a, b) => a - b)).toEqual(all(50));
  expect(await sampler.epoch(3)).not.toEqual(await sampler.epoch(2));
  expect(await (await make("random", lengths)).epoch(3)).toEqual(await sampler.epoch(3));
});

test("staged begins with the simple examples, short first, then takes everything", async () => {
  const sampler = await make("staged", [300, 20, 256, 10, 257, 20]);
  expect([...(await sampler.epoch(0))]).toEqual([3, 1, 5, 2]);
  expect([sampler.size(0), sampler.size(1)]).toEqual([4, 6]);
  expect([...(await sampler.epoch(1))].sort()).toEqual(all(6));
  expect(sampler.warnings).toEqual([
    "staged sampling: expected rows that fit stage 2 (at least 3 turns), got none: the most turns are 2; it is left out",
  ]);
});

test("staged says so when nothing, or everything, is simple", async () => {
  const hard = await make("staged", [300, 400]);
  expect(hard.warnings[0]).toMatch(
    /fit stage 1 \(at most 256 tokens\), got none: the shortest of 2 has 300 tokens; it is left out/,
  );
  expect(hard.size(0)).toBe(2);
  const easy = await make("staged", [30, 4]);
  expect(easy.warnings[0]).toMatch(/all 2 rows fit stage 1 \(at most 256 tokens\)/);
  expect([...(await easy.epoch(0))]).toEqual([1, 0]);
});

test("the preset goes from short rows to conversations of several turns to everything, with hard rows by their share", async () => {
  const context = contextOf([300, 20, 400, 10], [2, 2, 5, 4]);
  const passes = async (more: Partial<SamplerOptions>) => {
    const sampler = await createSampler({ ...plain, strategy: "staged", simpleMaxLength: 256, ...more }, context);
    return Promise.all([0, 1, 2, 3].map(async (epoch) => [...(await sampler.epoch(epoch))].sort()));
  };
  expect(await passes({})).toEqual([[1, 3], [2, 3], all(4), all(4)]);
  expect(await passes({ hardShare: 0.4 })).toEqual([[1, 2, 3], [2, 2, 3], all(4), all(4)]);
  expect(await passes({ stages: [{ minTurns: 5, epochs: 2 }, { hardShare: 0 }], hardShare: 0.5 })).toEqual([
    [2, 2],
    [2, 2],
    all(4),
    all(4),
  ]);
});

test("nothing to sample is a mistake of the caller", async () => {
  await expect(make("random", [])).rejects.toThrow(ArgumentError);
});

test("advice on epochs follows the size of the data set", async () => {
  expect([99, 999, 1_000, 9_999, 10_000, 99_999, 100_000].map((rows) => recommendEpochs(rows).recommended)).toEqual([
    3, 3, 2, 2, 1, 1, 1,
  ]);
  expect(recommendEpochs(500)).toMatchObject({ min: 3, max: 5, recommended: 3 });
  expect(recommendEpochs(1_000_000)).toMatchObject({ min: 0.5, max: 1, recommended: 1 });
});
