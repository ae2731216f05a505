import { expect, test } from "vitest";
import { sortInSlices } from "./sort-in-slices.ts";
import { turns } from "./testing/event-loop-turns.ts";

const numbers = (n: number) => Int32Array.from({ length: n }, (_, at) => Math.imul(at, 2654435761) >>> 8);

test.each([0, 1, 2, 4095, 4096, 4097, 8192, 50_000, 100_001])(
  "%i numbers come in the order that the engine's own sort gives, equal ones as they were",
  async (n) => {
    const byLast = (a: number, b: number) => (a % 101) - (b % 101);
    const values = numbers(n);
    const expected = values.slice().sort(byLast);
    await sortInSlices(values, byLast);
    expect(values).toEqual(expected);
  },
);

test("a million numbers are sorted in many slices", async () => {
  const values = numbers(1_000_000);
  // 245 runs, and 8 times all of it in pieces of 16,384 at most.
  expect(await turns(() => sortInSlices(values, (a, b) => a - b))).toBeGreaterThanOrEqual(245 + 8 * 61);
});
