// Rewards of likeness to the answer of a row.
import { OptionError, type Similarity } from "@tunesmith/core";
import type { RewardFunction } from "../reward.ts";
import { compared, named, textColumn } from "./named.ts";

/** ROUGE-L F-measure of each completion against a column, 0 to 1, as rouge-score computes it without a stemmer (Lin 2004). */
export function rougeReward(similarity: Similarity, { column = "solution" }: { column?: string } = {}): RewardFunction {
  return named("rougeReward", async (input) => {
    const answers = textColumn(input, column);
    const pairs = input.completions.map((prediction, n) => ({ target: answers[n] ?? "", prediction }));
    const scores = await similarity.rougeL(pairs);
    return answers.map((answer, n) => (answer === null ? null : (scores[n] as number)));
  });
}

/** How texts are compared, by the names of OpenAI's string_check grader. */
export type StringCheckOperation = "eq" | "ne" | "like" | "ilike";

/** 1 where a completion and a column compare as asked, else 0: equal, not equal, or one that holds the other (`ilike`: case aside). */
export function getStringCheckReward({
  operation,
  column = "solution",
}: {
  operation: StringCheckOperation;
  column?: string;
}): RewardFunction {
  const checks: Record<StringCheckOperation, (text: string, answer: string) => boolean> = {
    eq: (text, answer) => text === answer,
    ne: (text, answer) => text !== answer,
    like: (text, answer) => text.includes(answer),
    ilike: (text, answer) => text.toLowerCase().includes(answer.toLowerCase()),
  };
  if (!Object.hasOwn(checks, operation))
    throw new OptionError(`[operation] expected eq, ne, like or ilike, got ${String(operation)}; choose one`);
  const holds = checks[operation];
  return named("stringCheckReward", (input) =>
    compared(input, column, (text, answer) => (holds(text, answer) ? 1 : 0)),
  );
}

/** How alike texts are, by the names of OpenAI's text_similarity grader. */
export type TextSimilarityMetric = "fuzzy_match" | "rouge_l";

/** From 0 to 1: the share of characters that two texts have in common in order (`fuzzy_match`), or ROUGE-L. */
export function textSimilarityReward(
  similarity: Similarity,
  { evaluationMetric, column = "solution" }: { evaluationMetric: TextSimilarityMetric; column?: string },
): RewardFunction {
  if (evaluationMetric === "rouge_l") return named("textSimilarityReward", rougeReward(similarity, { column }));
  if (evaluationMetric !== "fuzzy_match")
    throw new OptionError(
      `[evaluationMetric] expected fuzzy_match or rouge_l, got ${String(evaluationMetric)}; choose one`,
    );
  return named("textSimilarityReward", (input) => compared(input, column, fuzzyMatch));
}

/** 2 · longest common subsequence / both lengths together, of characters: rapidfuzz's ratio. */
export function fuzzyMatch(a: string, b: string): number {
  const [first, second] = [Array.from(a), Array.from(b)];
  if (first.length + second.length === 0) return 1;
  let row = new Uint32Array(second.length + 1);
  for (const character of first) {
    const next = new Uint32Array(row.length);
    for (const [n, other] of second.entries())
      next[n + 1] = character === other ? (row[n] as number) + 1 : Math.max(row[n + 1] as number, next[n] as number);
    row = next;
  }
  return (2 * (row.at(-1) as number)) / (first.length + second.length);
}
