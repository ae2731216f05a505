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

test("an arm is better or worse only where every seed says so, and all of them are there", () => {
  expect(verdict([-0.1, -0.2], "evalLoss", 2)).toBe("better with each of 2 seeds");
  expect(verdict([-0.1, -0.2], "exact", 2)).toBe("worse with each of 2 seeds");
  expect(verdict([-0.1, 0.2], "evalLoss", 2)).toBe("not told apart: the seeds disagree");
  expect(verdict([0, -0.2], "evalLoss", 2)).toBe("not told apart: the seeds disagree");
  expect(verdict([-0.1], "evalLoss", 2)).toBe("1 of 2 seeds are in");
});

test("the table has every arm with its mean and range, and says how many seeds are in", () => {
  const runs = [run("random", 1, 1, 1), run("random", 2, 2), run("loss-based", 1, 0.5)];
  const text = tables(result(runs));
  expect(text).toContain("| random | 2 | 1.500 (1.000 – 2.000) |  |  | 50.0 (25.0 – 75.0) |");
  expect(text).toContain("| loss-based | 1 | 0.500 | −0.500 | 1 of 2 seeds are in | 75.0 |");
  expect(text).toContain("| staged reverse | 0 | – |  | 0 of 2 seeds are in | – |");
});
