import { expect, test } from "vitest";
import type { Example } from "../examples/example.ts";
import { coalesce } from "./coalesce.ts";

const example = (length: number): Example => ({
  ids: new Int32Array(length),
  labels: new Int32Array(length),
  turns: 1,
  length,
  rowId: 0,
  truncated: false,
});

const lengths = (microBatches: number[][], budget: number) =>
  coalesce(
    microBatches.map((batch) => batch.map(example)),
    budget,
  ).map((pass) => pass.map(({ example: { length }, microBatch }) => `${length}@${microBatch}`).join(" "));

test("micro-batches are joined up to the budget", () => {
  expect(lengths([[3, 4], [2], [5]], 10)).toEqual(["3@0 4@0 2@1", "5@2"]);
  expect(lengths([[3, 4], [2], [5]], 100)).toEqual(["3@0 4@0 2@1 5@2"]);
});

test("a sequence is never split, even one beyond the budget", () => {
  expect(lengths([[2, 30, 2]], 10)).toEqual(["2@0", "30@0", "2@0"]);
});

test("no pass could take the first sequence of the next one, and nothing is lost", () => {
  let state = 3;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let n = 0; n < 200; n += 1) {
    const budget = 1 + random(40);
    const batches = Array.from({ length: 1 + random(4) }, () =>
      Array.from({ length: 1 + random(6) }, () => example(1 + random(20))),
    );
    const passes = coalesce(batches, budget);
    expect(passes.flat().map((placed) => placed.example)).toEqual(batches.flat());
    const totals = passes.map((pass) => pass.reduce((sum, placed) => sum + placed.example.length, 0));
    for (const [p, total] of totals.entries()) {
      if ((passes[p]?.length ?? 0) > 1) expect(total).toBeLessThanOrEqual(budget);
      const next = passes[p + 1]?.[0];
      if (next !== undefined) expect(total + next.example.length).toBeGreaterThan(budget);
    }
  }
});
