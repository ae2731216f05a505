import { OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { byCompetence, type CompetenceOptions, competenceAt, competenceSampler } from "./competence.ts";
import { contextOf } from "./testing/context.ts";

const n = 100;
const batchSize = 4;
/** Row r is the (n − 1 − r)-th shortest. */
const context = contextOf(
  Array.from({ length: n }, (_, row) => n - row),
  [],
  batchSize,
);
const rankOf = (row: number) => n - 1 - row;
const sampler = (options: CompetenceOptions = {}) => byCompetence(context, options);
/** The ranks that each step of an epoch draws. */
const stepsOf = async (epoch: number, options: CompetenceOptions = {}) => {
  const order = Array.from(await (await sampler(options)).epoch(epoch), rankOf);
  return Array.from({ length: n / batchSize }, (_, step) => order.slice(step * batchSize, (step + 1) * batchSize));
};

test("competence is the square root of the paper, from its start to 1", async () => {
  expect(competenceAt(0, 100, 0.01)).toBe(0.01);
  expect(competenceAt(50, 100, 0.01)).toBeCloseTo(Math.sqrt(0.5 * 0.9999 + 0.0001), 15);
  expect(competenceAt(25, 100, 0.2)).toBeCloseTo(Math.sqrt(0.25 * 0.96 + 0.04), 15);
  expect([competenceAt(100, 100, 0.01), competenceAt(900, 100, 0.01)]).toEqual([1, 1]);
});

test("each step draws different rows from as many of the easiest as its competence allows", async () => {
  for (const epoch of [0, 1]) {
    for (const [step, ranks] of (await stepsOf(epoch, { steps: 60, initial: 0.1 })).entries()) {
      const allowed = Math.ceil(competenceAt(epoch * 25 + step, 60, 0.1) * n - 1e-9);
      expect(Math.max(...ranks)).toBeLessThan(allowed);
      expect(new Set(ranks).size).toBe(batchSize);
    }
  }
  // The second epoch goes on where the first ended: 65 rows, and not 10, are allowed.
  expect(Math.max(...(await stepsOf(1, { steps: 60, initial: 0.1 })).slice(0, 5).flat())).toBeGreaterThan(40);
  // At the start at least as many as a step has.
  expect((await stepsOf(0))[0]?.sort()).toEqual([0, 1, 2, 3]);
});

test("all that is allowed is drawn equally often", async () => {
  const seen = new Array<number>(10).fill(0);
  const trials = 3000;
  for (let seed = 0; seed < trials; seed += 1) {
    const order = await (await byCompetence({ ...context, seed }, { initial: 0.1 })).epoch(0);
    for (const row of order.subarray(0, batchSize)) seen[rankOf(row)] = (seen[rankOf(row)] ?? 0) + 1;
  }
  const share = batchSize / 10;
  // Five standard deviations of a binomial count.
  for (const count of seen)
    expect(Math.abs(count - trials * share)).toBeLessThan(5 * Math.sqrt(trials * share * (1 - share)));
});

test("once all rows are allowed an epoch is a shuffled pass; an epoch needs no earlier one and follows from the seed", async () => {
  const all = Array.from({ length: n }, (_, row) => row);
  expect([...(await (await sampler()).epoch(1))].sort((a, b) => a - b)).toEqual(all);
  expect(new Set(await (await sampler()).epoch(0)).size).toBeLessThan(n);
  expect(await (await sampler({ steps: 80 })).epoch(2)).toEqual(await (await sampler({ steps: 80 })).epoch(2));
  expect(await (await sampler({ steps: 80 })).epoch(2)).not.toEqual(await (await sampler({ steps: 80 })).epoch(1));
  expect(await (await byCompetence({ ...context, seed: 6 }, {})).epoch(0)).not.toEqual(
    await (await sampler()).epoch(0),
  );
});

test("hardness may be turned round, and given by a program", async () => {
  expect((await stepsOf(0, { reverse: true }))[0]?.sort((a, b) => a - b)).toEqual([96, 97, 98, 99]);
  const byRow = await competenceSampler({ difficulty: ({ rowIds }) => Math.abs((rowIds[0] as number) - 50) })(context);
  // Rows 48 and 52 are as hard; of equals the earlier comes first.
  expect([...Array.from(await byRow.epoch(0)).slice(0, batchSize)].sort()).toEqual([48, 49, 50, 51]);
});

test("fewer rows than a step has, and a last step that is smaller", async () => {
  const few = await byCompetence(contextOf([3, 1, 2], [], 8), {});
  expect([...(await few.epoch(0))].sort()).toEqual([0, 1, 2]);
  const odd = await byCompetence(contextOf([5, 4, 3, 2, 1], [], 2), {});
  expect((await odd.epoch(0)).length).toBe(5);
});

test.each<[CompetenceOptions, RegExp]>([
  [{ initial: 0 }, /\[initial\].*got 0/u],
  [{ initial: 1.5 }, /\[initial\].*got 1\.5/u],
  [{ steps: 0 }, /\[steps\].*got 0/u],
  [{ steps: 2.5 }, /\[steps\].*got 2\.5/u],
])("what is no pace is refused: %o", async (options, message) => {
  await expect(sampler(options)).rejects.toThrow(OptionError);
  await expect(sampler(options)).rejects.toThrow(message);
});
