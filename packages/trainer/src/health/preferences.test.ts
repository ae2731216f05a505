import { expect, onTestFinished, test } from "vitest";
import { DPOTrainer } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { ofType, record } from "../testing/record.ts";
import { scratchFolder } from "../testing/scratch.ts";
import { preferenceRules } from "./preferences.ts";
import type { HealthView } from "./rule.ts";

type Pair = Record<"prompt" | "chosen" | "rejected", string>;

/** The findings of a run on some pairs, all in each step, by rule and step. */
async function findings(trainDataset: Pair[], args: object = {}) {
  const outputDir = await scratchFolder(onTestFinished);
  const made = new DPOTrainer({
    ...{ model: fakeModel(), trainDataset },
    args: {
      ...{ outputDir, maxSteps: 40, perDeviceTrainBatchSize: trainDataset.length, saveStrategy: "no" },
      ...{ learningRate: 1e-4, lrSchedulerType: "constant", warmupSteps: 0, beta: 0.5, maxGradNorm: null, ...args },
    },
  });
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  return ofType(events, "health").map(({ rule, step, message }) => [rule, step, message] as const);
}

const pair = (prompt: string, chosen: string, rejected: string): Pair => ({ prompt, chosen, rejected });

test("a healthy run is told nothing: margins and the pairs that are right rise together", async () => {
  const pairs = ["abcd", "efgh", "ijkl", "mnop"].map((word, n) => pair(`say ${n}`, ` ${word} yes`, ` ${word} no`));
  expect(await findings(pairs)).toEqual([]);
});

test("pairs that contradict each other never become right, while the margin of the others rises", async () => {
  const torn = ["ab", "cd", "ef"].flatMap((word) => [
    pair("x", ` ${word}q`, ` ${word}z`),
    pair("x", ` ${word}z`, ` ${word}q`),
  ]);
  const found = await findings([...torn, pair("x", " mnopmnopmnop", " stuvstuvstuv")], { learningRate: 1e-5 });
  expect(found.map(([rule]) => rule)).toContain("margins-without-accuracy");
  const [, step, message] = found.find(([rule]) => rule === "margins-without-accuracy") ?? [];
  expect(step).toBe(20);
  expect(message).toMatch(
    /^margins rise, \S+ to \S+ over the last 20 steps, while no more pairs are right, \S+ % to \S+ %/u,
  );
});

test("chosen answers that are a part of the rejected ones fall with them, and are told as a collapse", async () => {
  const pairs = ["ab", "cd", "ef", "gh"].map((word) => pair("x", word.repeat(2), word.repeat(7)));
  const found = await findings(pairs, { learningRate: 1e-3 });
  expect(found.map(([rule]) => rule)).toContain("chosen-collapse");
  const [, , message] = found.find(([rule]) => rule === "chosen-collapse") ?? [];
  expect(message).toMatch(
    /^the log-probability of chosen answers collapses: -\S+ nats over the last 10 steps, -\S+ by the reference/u,
  );
});

/** Steps of a run with these metrics. */
function view(count: number, of: (n: number) => Record<string, number>, totalSteps = 200): HealthView {
  const steps = Array.from({ length: count }, (_, n) => {
    const usual = { step: n + 1, loss: 0.5, learningRate: 1e-5, gradNorm: 1, seconds: 1, waitSeconds: 0 };
    return { ...usual, metrics: of(n) };
  }).slice(-100);
  const run = { totalSteps, warmupSteps: 0, learningRate: 1e-5, optim: "adamw_torch", optimizer: "adamw" as const };
  return {
    ...{ event: "step", step: count, steps, firstLosses: [], evaluations: [], samples: null, firstSamples: null },
    ...{ rows: [], untrainedTokens: [], memory: null },
    run: { ...run, isAdapter: true, maxGradNorm: 1, sampleMaxNewTokens: 64, streamed: false },
  };
}

const told = (given: HealthView) =>
  preferenceRules({ beta: 0.1 }).flatMap((rule) => (rule.check(given) === null ? [] : [rule.name]));
const margins = (margin: number, accuracy: number) => ({ "rewards/margins": margin, "rewards/accuracies": accuracy });
const chosen = (policy: number, reference: number) => ({
  "logps/chosen": policy,
  "rewards/chosen": 0.1 * (policy - reference),
});

test("margins are compared over twice fifty steps, and a rise needs both a half more and a tenth", () => {
  const halves = (before: [number, number], now: [number, number]) =>
    told(view(100, (n) => margins(...(n < 50 ? before : now))));
  expect(halves([0.4, 0.6], [0.7, 0.605])).toEqual(["margins-without-accuracy"]);
  expect(halves([0.4, 0.6], [0.59, 0.6])).toEqual([]);
  expect(halves([0.1, 0.6], [0.19, 0.6])).toEqual([]);
  expect(halves([0.4, 0.6], [0.7, 0.62])).toEqual([]);
  expect(halves([0.4, 0.92], [0.7, 0.91])).toEqual([]);
  expect(told(view(99, (n) => margins(n < 50 ? 0.4 : 0.7, 0.6)))).toEqual([]);
  expect(told(view(8, (n) => margins(n < 4 ? 0.4 : 0.7, 0.6), 19))).toEqual([]);
});

test("a chosen answer may fall by half of what the reference gives it, and by five nats", () => {
  expect(told(view(50, () => chosen(-151, -100)))).toEqual(["chosen-collapse"]);
  expect(told(view(50, () => chosen(-149, -100)))).toEqual([]);
  expect(told(view(50, () => chosen(-5, -1)))).toEqual([]);
  expect(told(view(50, () => chosen(-7, -1)))).toEqual(["chosen-collapse"]);
  expect(told(view(50, () => chosen(-60, -100)))).toEqual([]);
  // A run of another recipe has no such metrics.
  expect(told(view(100, () => ({})))).toEqual([]);
});
