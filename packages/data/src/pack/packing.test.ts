import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type PackingStrategy, pack } from "./packing.ts";

/** A recorded packing; runs are [example, tokens]. */
interface Recorded {
  strategy: PackingStrategy;
  seq_length: number;
  lengths: number[];
  packed: [number, number][][];
}

const runs = async (lengths: number[], seqLength: number, strategy: PackingStrategy) => {
  const { packs } = await pack(lengths, seqLength, strategy);
  return Array.from({ length: packs.length }, (_, row) =>
    packs.at(row).map(({ example, length }) => [example, length]),
  );
};

let state = 11;
const random = (below: number) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

const strategies: PackingStrategy[] = ["bfd", "bfd_split", "wrapped", "best_fit"];
const lengthsOf = (count: number, most: number) => Array.from({ length: count }, () => random(most + 1));

const root = process.env.TUNESMITH_FIXTURES;
describe.skipIf(root === undefined)("rows as TRL packs them", () => {
  const cases: Recorded[] =
    root === undefined ? [] : JSON.parse(readFileSync(join(root, "trl", "packing.json"), "utf8"));
  test.each(cases.map((recorded) => [recorded.strategy, recorded.seq_length, recorded] as const))(
    "%s %i",
    async (strategy, seqLength, { lengths, packed }) => {
      expect(await runs(lengths, seqLength, strategy)).toEqual(packed);
    },
  );
});

test.each(strategies)("%s: every token is in one row or counted as cut, and no row is too long", async (strategy) => {
  for (let n = 0; n < 60; n += 1) {
    const seqLength = 1 + random(70);
    const lengths = lengthsOf(random(80), 2 * seqLength);
    const { packs, report } = await pack(lengths, seqLength, strategy);
    const seen = lengths.map((length) => new Uint8Array(length));
    let kept = 0;
    let longest = 0;
    for (let row = 0; row < packs.length; row += 1) {
      const pieces = packs.at(row);
      const tokens = pieces.reduce((sum, { length }) => sum + length, 0);
      longest = Math.max(longest, tokens);
      kept += tokens;
      for (const { example, start, length } of pieces)
        for (let t = start; t < start + length; t += 1)
          (seen[example] as Uint8Array)[t] = 1 + (seen[example]?.[t] ?? 9);
    }
    expect(longest).toBeLessThanOrEqual(seqLength);
    expect(seen.some((tokens) => tokens.some((times) => times > 1))).toBe(false);
    const all = lengths.reduce((sum, length) => sum + length, 0);
    expect(report).toMatchObject({ rows: packs.length, keptTokens: kept, cutTokens: all - kept });
    if (strategy === "bfd_split" || strategy === "wrapped") expect(report.cutTokens).toBe(0);
    else expect(report).toMatchObject({ splitExamples: 0, splitTokens: 0 });
  }
});

test("TRL's strategies stay within 1,000 examples; best_fit looks at the whole set and needs fewer rows", async () => {
  const lengths = lengthsOf(5000, 63).map((length) => length + 1);
  for (const strategy of ["bfd", "bfd_split", "wrapped"] as const) {
    const { packs } = await pack(lengths, 64, strategy);
    for (let row = 0; row < packs.length; row += 1)
      expect(new Set(packs.at(row).map(({ example }) => Math.floor(example / 1000))).size).toBe(1);
  }
  const [bfd, bestFit] = [(await pack(lengths, 64, "bfd")).report, (await pack(lengths, 64, "best_fit")).report];
  expect(bestFit.rows).toBeLessThan(bfd.rows);
  expect(bestFit.fillRate).toBeGreaterThan(bfd.fillRate);
});

test("no example fits into a row before its own", async () => {
  // What makes it best fit: a row was opened only where none had room, and the fullest with room was taken.
  const lengths = lengthsOf(300, 40).map((length) => length + 1);
  const free: number[] = [];
  const placed = await runs(lengths, 41, "best_fit");
  const order = placed
    .flatMap((row, r) => row.map(([example, length]) => ({ example: example as number, length: length as number, r })))
    .sort((a, b) => b.length - a.length || a.example - b.example);
  for (const { length, r } of order) {
    const room = free.filter((space) => space >= length);
    if (r === free.length) expect(room).toEqual([]);
    else expect(free[r]).toBe(Math.min(...room));
    free[r] = (free[r] ?? 41) - length;
  }
});
