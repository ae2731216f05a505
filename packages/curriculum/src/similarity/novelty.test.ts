import type { MostSimilar, RougePool, Similarity } from "@tunesmith/core";
import { expect, test } from "vitest";
import { NoveltyFilter } from "./novelty.ts";

/** Shares of words in place of ROUGE-L. */
function likeness(a: string, b: string): number {
  const [left, right] = [new Set(a.split(" ")), new Set(b.split(" "))];
  const shared = [...left].filter((word) => right.has(word)).length;
  return (2 * shared) / (left.size + right.size);
}

function pool(): RougePool {
  const texts: string[] = [];
  const of = (candidate: string): MostSimilar => {
    const scores = texts.map((text) => likeness(text, candidate));
    const score = Math.max(0, ...scores);
    return { index: score === 0 ? null : scores.indexOf(score), score };
  };
  return { add: async (more) => texts.push(...more), mostSimilar: async (candidates) => candidates.map(of) };
}

const similarity = { rougePool: pool } as Similarity;
const texts = ["a b c d", "a b c e", "a b f g", "h", "h", "a b c d e", "f g i j", "", "f g i j k l"];

test("candidates are judged in their order, whatever batches they come in", async () => {
  const whole = new NoveltyFilter(similarity);
  await whole.keep(["a b c x"]);
  const judged = await whole.judge(texts);
  expect(judged.map(({ isNovel }) => isNovel)).toEqual([false, false, true, true, false, true, true, true, false]);
  expect(judged[4]).toEqual({ isNovel: false, score: 1, index: 2 });
  expect(whole.size).toBe(6);
  const parts = new NoveltyFilter(similarity);
  const [, first, rest] = await Promise.all([
    parts.keep(["a b c x"]),
    parts.judge(texts.slice(0, 4)),
    parts.judge(texts.slice(4)),
  ]);
  expect([...first, ...rest]).toEqual(judged);
});

test("the threshold says how unlike a text must be", async () => {
  const strict = new NoveltyFilter(similarity, { threshold: 0.4 });
  const judged = await strict.judge(["a b", "b c", "d"]);
  expect(judged.map(({ isNovel }) => isNovel)).toEqual([true, false, true]);
});
