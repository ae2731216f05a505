import type { Example } from "@tunesmith/data";
import { expect, test } from "vitest";
import { type ArmName, arm } from "./arms.ts";
import type { TaskSet } from "./sets.ts";

/** Twelve rows of 10 to 21 tokens, mixed; and losses that say the opposite. */
const lengths = [15, 10, 21, 12, 18, 11, 20, 13, 16, 14, 19, 17];
const losses = lengths.map((length) => 30 - length);
const total = lengths.reduce((sum, length) => sum + length, 0);

const set = {
  rows: lengths.map((length) => ({ messages: [{ role: "assistant", content: "a".repeat(length) }] })),
  examples: lengths.map((length) => ({ length }) as Example),
} as unknown as TaskSet;

/** Lengths of the rows of the first passes of an arm that has half of them as its budget. */
async function order(name: ArmName, seed = 1): Promise<number[][]> {
  const { sampler } = arm(name, set, { losses }, total / 2);
  const row = (index: number) => ({
    ...{ length: lengths[index] as number, turns: 2, trainedTokens: 1, rowIds: [index] },
  });
  const made = await sampler?.({ lengths, seed, batchSize: 1, fixedBatches: false, row });
  if (made === undefined) throw new Error(`expected a sampler of ${name}`);
  const epochs = await Promise.all([0, 1, 2].map((epoch) => made.epoch(epoch)));
  return epochs.map((rows) => Array.from(rows, (index) => lengths[index] as number));
}

const [easy, middle, hard] = [
  [10, 11, 12, 13],
  [14, 15, 16, 17],
  [18, 19, 20, 21],
];

test.each<[ArmName, (number[] | undefined)[]]>([
  ["staged forward", [easy, middle, hard]],
  ["staged reverse", [hard, middle, easy]],
  ["loss-based", [hard, middle, easy]],
])("%s takes half of each third of the rows, one third after another", async (name, thirds) => {
  const passes = await order(name);
  for (const [n, third] of thirds.entries()) expect(third).toEqual(expect.arrayContaining(passes[n] ?? [0]));
  // The last stage goes on until the budget is spent.
  expect(passes.map((pass) => pass.length)).toEqual([2, 2, expect.any(Number)]);
});

test("seeds draw other rows of a third", async () => {
  const passes = await Promise.all([1, 2, 3, 4].map((seed) => order("staged forward", seed)));
  const drawn = passes.map(([first]) => JSON.stringify(first));
  expect(new Set(drawn).size).toBeGreaterThan(1);
});

test("the rows with the longest answers are a third", async () => {
  const { trainDataset, sampler } = arm("longest answers", set, { losses: [] }, total / 2);
  expect(sampler).toBeUndefined();
  expect(arm("random", set, { losses: [] }, total / 2)).toEqual({ trainDataset: set.rows });
  expect(trainDataset).toHaveProperty("name", "rows (selected)");
});
