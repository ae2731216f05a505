import { expect, test } from "vitest";
import type { ArmName } from "./arms.ts";
import type { RunResult } from "./run.ts";
import { type CurriculumResult, differences, tables, verdict } from "./summary.ts";

const run = (arm: ArmName, seed: number, evalLoss: number, exact = 3): RunResult => ({
  ...{ set: "totals", arm, seed, seconds: 1, exact: [{ operations: 1, rows: 4, exact }] },
  points: [
    { tokens: 10, step: 1, evalLoss: 9 },
    { tokens: 20, step: 2, evalLoss },
  ],
});

const result = (runs: RunResult[]) =>
  ({
    ...{ benchmark: "curriculum", machine: {}, seeds: [1, 2], runs },
    sets: [{ name: "totals", rows: 8, heldOut: 4 }],
    before: { totals: { evalLoss: 3, exact: [] } },
  }) as unknown as CurriculumResult;

test("an arm is compared seed by seed with the last point of random", () => {
  const runs = [
    run("random", 1, 1),
    run("random", 2, 2),
    run("staged forward", 2, 1.5),
    run("staged forward", 1, 1.25),
  ];
  expect(differences(result(runs), "totals", "staged forward", "evalLoss")).toEqual([-0.5, 0.25]);
  expect(differences(result(runs.slice(1)), "totals", "staged forward", "evalLoss")).toEqual([-0.5]);
});

/** Two seeds of random, two of another arm. */
const compared = (random: readonly number[], other: readonly number[]) =>
  result([
    ...random.map((loss, n) => run("random", n + 1, loss, loss)),
    ...other.map((loss, n) => run("loss-based", n + 1, loss, loss)),
  ]);

test.each([
  [[2, 3], [1, 1.5], "better than random, beyond the spread", "worse than random, beyond the spread"],
  [[2, 3], [1, 2.5], "better with each seed, within the spread", "worse with each seed, within the spread"],
  [
    [2, 3],
    [1, 3.5],
    "not told apart from random: the seeds disagree",
    "not told apart from random: the seeds disagree",
  ],
  [
    [2, 3],
    [2, 2.5],
    "not told apart from random: the seeds disagree",
    "not told apart from random: the seeds disagree",
  ],
  [[2, 3], [1], "1 of 2 seeds are in", "1 of 2 seeds are in"],
])("random %j compared with %j: as a loss %s, as a share %s", (random, other, asLoss, asShare) => {
  expect(verdict(compared(random, other), "totals", "loss-based", "evalLoss")).toBe(asLoss);
  expect(verdict(compared(random, other), "totals", "loss-based", "exact")).toBe(asShare);
});

test("the table has every arm with its mean and range, and says how many seeds are in", () => {
  const text = tables(result([run("random", 1, 1, 1), run("random", 2, 2), run("loss-based", 1, 0.5)]));
  expect(text).toContain("| random | 2 | 1.500 (1.000 – 2.000) |  | 50 (25 – 75) |  |");
  expect(text).toContain("| loss-based | 1 | 0.500 | −0.500, 1 of 2 seeds are in | 75 | +50, 1 of 2 seeds are in |");
  expect(text).toContain("| staged reverse | 0 | – | 0 of 2 seeds are in | – | 0 of 2 seeds are in |");
});
