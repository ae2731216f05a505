// Shares of words in place of ROUGE-L, for tests without a binary.
import type { MostSimilar, RougePool, Similarity } from "@tunesmith/core";

function likeness(a: string, b: string): number {
  const [left, right] = [new Set(a.toLowerCase().split(" ")), new Set(b.toLowerCase().split(" "))];
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

/** Pools alone: nothing else of it is asked for. */
export const wordOverlap = { rougePool: pool } as Similarity;
