import { OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import type { Stage } from "./stage.ts";
import { type StagesOptions, staged } from "./stages.ts";
import { contextOf } from "./testing/context.ts";

const lengths = [40, 10, 300, 20, 500, 30, 5, 900];
const turns = [2, 4, 2, 3, 6, 2, 2, 2];

const make = (stages: Stage[], more: Partial<StagesOptions> = {}) =>
  staged(contextOf(lengths, turns), { stages, ...more });
const sorted = (order: Int32Array) => [...order].sort((a, b) => a - b);
const everything = [0, 1, 2, 3, 4, 5, 6, 7];

test("stages follow one another, each with the rows that fulfil all its conditions", async () => {
  const sampler = await make([
    { maxLength: 30, epochs: 2 },
    { minTurns: 3 },
    { where: ({ length, turns, rowIds }) => length > 100 && turns === 2 && rowIds[0] !== 7 },
    {},
  ]);
  const passes: number[][] = [];
  for (const epoch of [0, 1, 2, 3, 4, 9]) passes.push(sorted(await sampler.epoch(epoch)));
  expect(passes).toEqual([[1, 3, 5, 6], [1, 3, 5, 6], [1, 3, 4], [2], everything, everything]);
  expect([0, 2, 3, 4].map((epoch) => sampler.size(epoch))).toEqual([4, 3, 1, 8]);
  expect(await sampler.epoch(0)).not.toEqual(await sampler.epoch(1));
  expect(sampler.parts?.map(({ name, epoch }) => [name, epoch])).toEqual([
    ["stage 1 (at most 30 tokens)", 0],
    ["stage 2 (at least 3 turns)", 2],
    ["stage 3 (where)", 3],
    ["stage 4 (every row)", 4],
  ]);
});

test("a fraction of a pass, and steps in place of passes, end a stage within its rows", async () => {
  // 4 rows in steps of 2: a pass is 2 steps.
  const sizes = async (stage: Stage) => {
    const { size, epoch, parts } = await make([{ maxLength: 30, ...stage }, {}]);
    const passes = Array.from({ length: parts?.[1]?.epoch ?? 0 }, (_, pass) => size(pass));
    expect(await Promise.all(passes.map(async (_, pass) => (await epoch(pass)).length))).toEqual(passes);
    return passes;
  };
  expect([await sizes({}), await sizes({ epochs: 0.5 }), await sizes({ epochs: 1.25 })]).toEqual([[4], [2], [4, 1]]);
  expect([await sizes({ steps: 1 }), await sizes({ steps: 2 }), await sizes({ steps: 5 })]).toEqual([
    [2],
    [4],
    [4, 4, 2],
  ]);
  // The last one goes on as long as the run does.
  const last = await make([{ maxLength: 30, epochs: 0.5 }]);
  expect([0, 1, 2].map(last.size)).toEqual([4, 4, 4]);
});

test("an epoch needs no earlier one and follows from the seed", async () => {
  const stages: Stage[] = [{ maxLength: 40, hardShare: 0.4 }, { hardShare: 0.2 }];
  const context = contextOf(lengths, turns);
  const sampler = await staged(context, { stages });
  const [second, third] = [await sampler.epoch(1), await sampler.epoch(2)];
  expect(await (await staged(context, { stages })).epoch(2)).toEqual(third);
  expect(second).not.toEqual(third);
  expect(await (await staged({ ...context, seed: 6 }, { stages })).epoch(2)).not.toEqual(third);
});

test("hard rows are mixed in by their share: those that the stage has not, else its own once more", async () => {
  // The hardest quarter is rows 4 and 7.
  const sampler = await make([{ maxLength: 40, hardShare: 0.3, epochs: 40 }, {}]);
  const passes = await Promise.all(Array.from({ length: 40 }, (_, epoch) => sampler.epoch(epoch)));
  for (const pass of passes) {
    expect(sorted(pass).filter((row) => row !== 4 && row !== 7)).toEqual([0, 1, 3, 5, 6]);
    expect(pass.length).toBe(7);
  }
  expect(new Set(passes.map((pass) => pass.indexOf(7))).size).toBe(7);
  expect(sorted(await (await make([{ hardShare: 0.2 }])).epoch(0))).toEqual([0, 1, 2, 3, 4, 4, 5, 6, 7, 7]);
  // By turns the hardest are rows 1 and 4.
  expect(sorted(await (await make([{ maxLength: 5, hardShare: 0.7 }], { difficulty: "turns" })).epoch(0))).toEqual([
    1, 4, 6,
  ]);
  const score = { difficulty: ({ length }: { length: number }) => -length };
  expect(sorted(await (await make([{ minTurns: 6, hardShare: 0.7 }], score)).epoch(0))).toEqual([1, 4, 6]);
});

test("easy rows come first where a stage says so, hard rows between them", async () => {
  expect([...(await (await make([{ order: "easy_first" }])).epoch(3))]).toEqual([6, 1, 3, 5, 0, 2, 4, 7]);
  const mixed = [...(await (await make([{ maxLength: 40, order: "easy_first", hardShare: 0.3 }])).epoch(0))];
  expect(mixed.filter((row) => row !== 4 && row !== 7)).toEqual([6, 1, 3, 5, 0]);
});

test("reversed, the last stage comes first and the first goes on to the end, hardest rows first", async () => {
  const sampler = await make([{ maxLength: 30, order: "easy_first" }, { minTurns: 3, epochs: 2 }, {}], {
    reverse: true,
  });
  expect(sampler.parts?.map(({ name }) => name.slice(0, 7))).toEqual(["stage 3", "stage 2", "stage 1"]);
  expect(sorted(await sampler.epoch(0))).toEqual(everything);
  expect(sorted(await sampler.epoch(2))).toEqual([1, 3, 4]);
  expect([[...(await sampler.epoch(3))], [...(await sampler.epoch(8))]]).toEqual([
    [5, 3, 1, 6],
    [5, 3, 1, 6],
  ]);
});

test.each<[Stage, RegExp]>([
  [{ maxLength: 4 }, /stage 1 \(at most 4 tokens\), got none: the shortest of 8 has 5 tokens/u],
  [{ minTurns: 7 }, /stage 1 \(at least 7 turns\), got none: the most turns are 6/u],
  [
    { maxLength: 20, where: () => false },
    /tokens, where\), got none: the shortest of 8 has 5 tokens, where took none of 3/u,
  ],
  [{ epochs: 1, steps: 1 }, /epochs or steps in stage 1 \(every row\), got both/u],
  [{ epochs: 0 }, /a length above 0 in stage 1 \(every row\), got 0/u],
  [{ steps: 1.5 }, /got 1\.5/u],
  [{ hardShare: 1 }, /\[hardShare\].*below 1, got 1/u],
])("a stage that cannot be is refused by name: %o", async (stage, message) => {
  await expect(make([stage, {}])).rejects.toThrow(OptionError);
  await expect(make([stage, {}])).rejects.toThrow(message);
});

test("a stage that all rows fit is named, and so are steps without a fixed number of rows", async () => {
  expect((await make([{ maxLength: 900 }, {}])).warnings).toEqual([
    "staged sampling: all 8 rows fit stage 1 (at most 900 tokens), so it trains on everything",
  ]);
  const loose = { ...contextOf(lengths), fixedBatches: false };
  await expect(staged(loose, { stages: [{ steps: 3 }, {}] })).rejects.toThrow(/epochs in stage 1 .*maxTokensPerBatch/u);
  await expect(staged(loose, { stages: [{ order: "easy_first" }], difficulty: () => Number.NaN })).rejects.toThrow(
    /\[difficulty\] expected a number for row 0, got NaN/u,
  );
  await expect(staged(loose, { stages: [] })).rejects.toThrow(/\[stages\] expected at least one/u);
});
