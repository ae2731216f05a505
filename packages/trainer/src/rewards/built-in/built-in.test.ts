import { expect, onTestFinished, test } from "vitest";
import { textServer } from "../../../../core/src/testing/text-server.ts";
import type { RewardFunction, RewardInput } from "../reward.ts";
import { getCosineScaledReward, getExactAccuracyReward, getNumericAccuracyReward } from "./accuracy.ts";
import { getFormatReward, thinkFormatReward } from "./format.ts";
import { getJudgeReward } from "./judge.ts";
import { getRepetitionPenaltyReward, getSoftOverlongPunishment } from "./length.ts";
import { fuzzyMatch, getStringCheckReward, rougeReward, textSimilarityReward } from "./similar.ts";

const ids = (...lists: number[][]) => lists.map((list) => Int32Array.from(list));

function rated(reward: RewardFunction, completions: string[], more: Record<string, unknown> = {}) {
  const input = {
    prompts: completions.map(() => "p"),
    ...{ completions, completionIds: completions.map(() => new Int32Array(3)) },
    state: { step: 1, totalSteps: 1, epoch: 0, generation: 0 },
    ...{ logMetric: () => {}, logExtra: () => {} },
    ...more,
  } as RewardInput;
  return reward(input);
}

test("think-format wants one thought at the start", async () => {
  const texts = [
    "<think>\nThis is my reasoning.\n</think>\nThis is my answer.",
    "<think>\nThis is my reasoning.\nThis is my answer.",
    "No. <think>a</think> b",
    "<think>a</think><think>b</think>",
    "<think></think>",
  ];
  expect(await rated(thinkFormatReward, texts)).toEqual([1, 0, 0, 0, 1]);
});

test("a format is a pattern, whatever its flags, with values of its own", async () => {
  const reward = getFormatReward({ pattern: /<answer>\d+<\/answer>$/gu, match: 3, noMatch: -1 });
  expect(await rated(reward, ["<answer>4</answer>", "<answer>5</answer>", "4"])).toEqual([3, 3, -1]);
  expect(() => getFormatReward({ pattern: "x" as never })).toThrow(/\[pattern\] expected a regular expression/u);
});

test("exact accuracy takes an answer out of a completion, and says nothing of a row without one", async () => {
  const solution = ["Paris", "Rome", null];
  expect(await rated(getExactAccuracyReward(), [" paris\n", "Paris", "x"], { solution })).toEqual([1, 0, null]);
  const tagged = getExactAccuracyReward({ column: "answer", extract: /<a>(.*?)<\/a>/gsu });
  expect(await rated(tagged, ["so <a>7</a>", "7", "<a>8</a>"], { answer: [7, 7, 7] })).toEqual([1, 0, 0]);
  expect(() => rated(getExactAccuracyReward(), ["x"])).toThrow(/\[reward.column\] .*"solution"/u);
});

test("numeric accuracy compares the last numbers", async () => {
  const texts = ["it is 1,234.50.", "12 then -3", "none", "0.1"];
  const solution = ["#### 1234.5", "-3", "4", "no number"];
  expect(await rated(getNumericAccuracyReward(), texts, { solution })).toEqual([1, 1, 0, null]);
  const near = getNumericAccuracyReward({ tolerance: 0.1 });
  expect(await rated(near, ["109", "111"], { solution: [100, 100] })).toEqual([1, 0]);
});

test("the cosine-scaled reward is TRL's", async () => {
  const completionIds = [new Int32Array(50), new Int32Array(50), new Int32Array(100), new Int32Array(0)];
  const reward = getCosineScaledReward({ maxLen: 100 });
  const found = await rated(reward, ["a", "b", "a", "b"], { completionIds, solution: ["a", "a", "a", "a"] });
  for (const [n, expected] of [0.75, -0.75, 0.5, -1].entries()) expect(found[n]).toBeCloseTo(expected, 12);
});

test("overlong and repeating completions are punished as TRL does", async () => {
  const lengths = [80, 81, 90, 100, 101].map((length) => new Int32Array(length));
  const overlong = getSoftOverlongPunishment({ maxCompletionLen: 100, softPunishCache: 20 });
  const texts = lengths.map(() => "");
  expect(await rated(overlong, texts, { completionIds: lengths })).toEqual([0, -0.05, -0.5, -1, -1]);
  const completionIds = ids([1, 2, 3, 4], [5, 5, 5, 5, 5], [1]);
  expect(await rated(getRepetitionPenaltyReward({ ngramSize: 2 }), ["", "", ""], { completionIds })).toEqual([
    0, -0.75, 0,
  ]);
  expect(() => getRepetitionPenaltyReward({ maxPenalty: 1 })).toThrow(/\[maxPenalty\]/u);
  expect(() => getSoftOverlongPunishment({ maxCompletionLen: 9, softPunishCache: 0 })).toThrow(/\[softPunishCache\]/u);
});

test("likeness: string checks, fuzzy match, and ROUGE-L of whoever computes it", async () => {
  const solution = ["cat", "cat", "cat"];
  const texts = ["cat", "A cat.", "CAT"];
  const by = (operation: "eq" | "ne" | "like" | "ilike") =>
    rated(getStringCheckReward({ operation }), texts, { solution });
  expect(await by("eq")).toEqual([1, 0, 0]);
  expect(await by("ne")).toEqual([0, 1, 1]);
  expect(await by("like")).toEqual([1, 1, 0]);
  expect(await by("ilike")).toEqual([1, 1, 1]);
  // rapidfuzz.fuzz.ratio("this is a test", "this is a test!") is 96.55.
  expect(fuzzyMatch("this is a test", "this is a test!")).toBeCloseTo(0.9655, 4);
  const asked: unknown[] = [];
  const similarity = {
    rougeL: async (pairs: readonly { target: string; prediction: string }[]) => {
      asked.push(...pairs);
      return Float64Array.from(pairs, (_, n) => n / 10);
    },
  } as never;
  const gaps = { solution: ["x", null, "z"] };
  expect(await rated(rougeReward(similarity), texts, gaps)).toEqual([0, null, 0.2]);
  expect(asked[0]).toEqual({ target: "x", prediction: "cat" });
  expect(await rated(textSimilarityReward(similarity, { evaluationMetric: "rouge_l" }), texts, gaps)).toEqual([
    0,
    null,
    0.2,
  ]);
  expect(() => textSimilarityReward(similarity, { evaluationMetric: "bleu" as never })).toThrow(
    /\[evaluationMetric\]/u,
  );
});

test("a judge at an endpoint is shown prompt and completion, and its number is taken by tenths", async () => {
  const { baseUrl, asked } = await textServer(onTestFinished, ({ body }) =>
    JSON.stringify(body).includes("good") ? "8" : "Score: 2.5",
  );
  const judge = getJudgeReward({ baseUrl, model: "m", instruction: "Look at the tone." });
  const prompts = [[{ role: "user", content: "Hello" }], "plain"];
  expect(await rated(judge, ["good", "bad"], { prompts })).toEqual([0.8, 0.25]);
  const texts = asked.map(({ body }) => JSON.stringify(body)).sort();
  expect(texts.some((text) => text.includes("user: Hello"))).toBe(true);
  expect(texts.every((text) => text.includes("Look at the tone."))).toBe(true);
  const mute = await textServer(onTestFinished, () => "no idea");
  const failing = getJudgeReward({ baseUrl: mute.baseUrl, model: "m" });
  await expect(rated(failing, ["x"])).rejects.toThrow(/\[judge\] expected a score from 0 to 10 from m, got "no idea"/u);
});
