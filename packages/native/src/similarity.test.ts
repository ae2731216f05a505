import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ArgumentError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { similarity } from "./similarity.ts";

const { TUNESMITH_FIXTURES: fixtures } = process.env;

test.skipIf(fixtures === undefined)("ROUGE-L equals rouge-score's to the bit", async () => {
  const text = await readFile(join(fixtures ?? "", "misc/rouge.json"), "utf8");
  const cases = JSON.parse(text) as { a: string; b: string; rougeL_f1: number }[];
  const scores = await similarity.rougeL(cases.map(({ a, b }) => ({ target: a, prediction: b })));
  expect([...scores]).toEqual(cases.map(({ rougeL_f1 }) => rougeL_f1));
});

test("a pool takes its calls in their order and names the most similar text", async () => {
  const pool = similarity.rougePool();
  const [none, count, found] = await Promise.all([
    pool.mostSimilar(["one two"]),
    pool.add(["one three", "Two, ONE two!", "one two two"]),
    pool.mostSimilar(["two one two", "one two", "four", ""]),
  ]);
  expect(none).toEqual([{ index: null, score: 0 }]);
  expect(count).toBe(3);
  expect(found).toEqual([
    { index: 1, score: 1 },
    { index: 1, score: 0.8 },
    { index: null, score: 0 },
    { index: null, score: 0 },
  ]);
});

test("n-grams are counted in each text and in all", async () => {
  const texts = ["One two, one two one", "", "京都京都"];
  expect(await similarity.countNgrams(texts, 2)).toEqual([
    { total: 4, distinct: 2, most: 2, frequent: "one two" },
    { total: 0, distinct: 0, most: 0, frequent: "" },
    { total: 3, distinct: 2, most: 2, frequent: "京 都" },
  ]);
  expect(await similarity.distinctNgrams(texts, 2)).toEqual({ total: 7, distinct: 4 });
});

test("near duplicates come with their similarity and their cluster", async () => {
  const texts = ["a b c d e f", "x y z", "A, b c d e f!", "a b c d e g", "", ""];
  const found = await similarity.nearDuplicates(texts, { size: 1 });
  expect(found.pairs).toEqual([
    { first: 0, second: 2, similarity: 1 },
    { first: 0, second: 3, similarity: 5 / 7 },
    { first: 2, second: 3, similarity: 5 / 7 },
  ]);
  expect([...found.clusters]).toEqual([0, 1, 0, 0, 4, 5]);
  expect(found.complete).toBe(true);
  const one = await similarity.nearDuplicates(texts, { size: 1, maxPairs: 1 });
  expect([one.pairs.length, one.complete]).toEqual([1, false]);
  expect((await similarity.nearDuplicates(texts, { unit: "character", size: 3 })).pairs[0]?.second).toBe(3);
});

test("wrong arguments are named", async () => {
  const pool = similarity.rougePool();
  const calls = [
    [() => pool.add([1 as never]), "[rougePool.add.texts[0]] expected a string"],
    [() => similarity.countNgrams(["a"], 0), "[countNgrams.n]"],
    [
      () => similarity.nearDuplicates(["a"], { threshold: 0.5 }),
      "[nearDuplicates.threshold] expected a number from 0.7",
    ],
    [() => similarity.nearDuplicates(["a"], { unit: "line" as never }), "[nearDuplicates.unit]"],
    [() => similarity.rougeL([{ target: "a" } as never]), "[rougeL.pairs[0].prediction]"],
  ] as const;
  for (const [call, message] of calls) {
    const error = await call().then(String, (thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ArgumentError);
    expect((error as Error).message).toContain(message);
  }
  expect(await pool.add(["still works"])).toBe(1);
});
