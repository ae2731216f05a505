import { expect, test } from "vitest";
import { rewardRules } from "./rewards.ts";
import type { HealthView } from "./rule.ts";

/** Steps of a run with these metrics. */
function view(count: number, of: (n: number) => Record<string, number>): HealthView {
  const steps = Array.from({ length: count }, (_, n) => {
    const usual = { step: n + 1, loss: 0.5, learningRate: 1e-5, gradNorm: 1, seconds: 1, waitSeconds: 0 };
    return { ...usual, metrics: of(n) };
  }).slice(-100);
  const run = {
    totalSteps: 200,
    warmupSteps: 0,
    learningRate: 1e-5,
    optim: "adamw_torch",
    optimizer: "adamw" as const,
  };
  return {
    ...{ event: "step", step: count, steps, firstLosses: [], evaluations: [], samples: null, firstSamples: null },
    ...{ rows: [], untrainedTokens: [], memory: null },
    run: { ...run, isAdapter: true, maxGradNorm: 1, sampleMaxNewTokens: 64, streamed: false },
  };
}

const told = (count: number, of: (n: number) => Record<string, number>) =>
  rewardRules().flatMap((rule) => (rule.check(view(count, of)) === null ? [] : [rule.name]));

test("groups without variance are told after five generations, those that sample alone counting", () => {
  const share =
    (value: number) =>
    (n: number): Record<string, number> =>
      n % 2 === 0 ? { frac_reward_zero_std: value } : {};
  expect(told(9, share(0.9))).toEqual(["groups-without-variance"]);
  expect(told(8, share(0.9))).toEqual([]);
  expect(told(20, share(0.89))).toEqual([]);
});

test("every completion cut is told after three generations", () => {
  expect(told(3, () => ({ "completions/clipped_ratio": 1 }))).toEqual(["every-completion-cut"]);
  expect(told(2, () => ({ "completions/clipped_ratio": 1 }))).toEqual([]);
  expect(told(9, (n) => ({ "completions/clipped_ratio": n === 8 ? 0.99 : 1 }))).toEqual([]);
});

test("a reward that rises while completions become twice as long is told, one that rises alone is not", () => {
  const both = (reward: number, length: number) => (n: number) => ({
    reward: n < 5 ? 0.1 : reward,
    "completions/mean_length": n < 5 ? 10 : length,
  });
  expect(told(10, both(0.5, 20))).toEqual(["reward-by-length"]);
  expect(told(9, both(0.5, 20))).toEqual([]);
  expect(told(10, both(0.5, 19))).toEqual([]);
  expect(told(10, both(0.1, 40))).toEqual([]);
});

test("an entropy that falls to a tenth and near 0 is told, and a divergence beyond a nat", () => {
  expect(told(10, (n) => ({ entropy: n < 5 ? 2 : 0.2 }))).toEqual(["entropy-collapse"]);
  expect(told(10, (n) => ({ entropy: n < 5 ? 2 : 0.21 }))).toEqual([]);
  expect(told(10, (n) => ({ entropy: n < 5 ? 5 : 0.4 }))).toEqual([]);
  expect(told(5, () => ({ kl: 1.1 }))).toEqual(["kl-out-of-range"]);
  expect(told(4, () => ({ kl: 9 }))).toEqual([]);
  expect(told(9, () => ({ kl: 1 }))).toEqual([]);
});

test("a healthy run, and one of another recipe, are told nothing", () => {
  const well = (n: number) => ({
    ...{ reward: 0.1 + n / 100, "completions/mean_length": 10 + n / 20, "completions/clipped_ratio": 0.3 },
    ...{ entropy: 2 - n / 100, kl: n / 200, frac_reward_zero_std: 0.5 },
  });
  expect(told(100, well)).toEqual([]);
  expect(told(100, () => ({}))).toEqual([]);
});
