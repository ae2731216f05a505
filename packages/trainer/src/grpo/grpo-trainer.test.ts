import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CallbackError, OptionError } from "@tunesmith/core";
import { drawBelow, keyOf } from "@tunesmith/curriculum";
import { expect, onTestFinished, test, vi } from "vitest";
import {
  GRPOTrainer,
  type GRPOTrainerOptions,
  type RewardFunction,
  type RolloutFunc,
  readRunConfig,
} from "../index.ts";
import { type FakeOptions, fakeModel } from "../testing/fake-session.ts";
import { lines } from "../testing/lines.ts";
import { ofType, record } from "../testing/record.ts";
import { scratchFolder } from "../testing/scratch.ts";

// Whole runs with all their syncing; a busy disk takes its time.
vi.setConfig({ testTimeout: 120_000 });

const end = 131;
const prompts = Array.from({ length: 6 }, (_, n) => ({ prompt: `say ${"abcdef"[n]}`, wanted: "abcdef"[n] }));

/** Completions of one to four letters that depend on the seed alone; every third is cut. */
const letters: RolloutFunc = async ({ prompts: asked, numGenerations, seed }) =>
  asked.flatMap((_, p) =>
    Array.from({ length: numGenerations }, (_, n) => {
      const draw = (at: number, below: number) => drawBelow(below, [at, n, p, 99], keyOf(seed));
      const ids = Array.from({ length: 1 + draw(0, 4) }, (_, t) => 97 + draw(t + 1, 8));
      return { completionIds: n % 3 === 2 ? ids : [...ids, end] };
    }),
  );

/** Share of the letters that are early in the alphabet. */
const early: RewardFunction = ({ completions }) =>
  completions.map((text) => Array.from(text).filter((c) => c < "e").length / Math.max(1, text.length));

async function trainer(args: object = {}, more: Partial<GRPOTrainerOptions> = {}, fake: FakeOptions = {}) {
  const outputDir = await scratchFolder(onTestFinished);
  const made = new GRPOTrainer({
    model: fakeModel(fake),
    trainDataset: prompts,
    rewardFuncs: early,
    rolloutFunc: letters,
    args: {
      ...{ outputDir, maxSteps: 8, perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 2, numGenerations: 4 },
      ...{ learningRate: 1e-3, warmupSteps: 0, maxCompletionLength: 16, saveStrategy: "no", ...args },
    },
    ...more,
  });
  return { trainer: made, outputDir };
}

test("metrics have TRL's names, those of rewards in the steps that sample alone", async () => {
  const args = { numIterations: 2, beta: 0.1, logCompletions: true, numCompletionsToPrint: 3 };
  const { trainer: made, outputDir } = await trainer(args);
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  const written = (await lines(join(outputDir, "metrics.jsonl"))) as Record<string, number>[];
  expect(written).toHaveLength(8);
  const always =
    "loss entropy kl clip_ratio/low_mean clip_ratio/low_min clip_ratio/high_mean clip_ratio/high_max clip_ratio/region_mean";
  const sampling =
    "reward reward_std frac_reward_zero_std rewards/early/mean rewards/early/std completions/mean_length completions/clipped_ratio completions/max_terminated_length";
  for (const [n, line] of written.entries()) {
    for (const name of always.split(" ")) expect(line[name], `${name} ${n}`).toEqual(expect.any(Number));
    for (const name of sampling.split(" ")) expect(name in line, `${name} ${n}`).toBe(n % 2 === 0);
  }
  expect(written[0]?.kl).toBe(0);
  expect(written[1]?.kl).toBeGreaterThan(0);
  const told = ofType(events, "completions");
  expect(told.map(({ step, generation, completions }) => [step, generation, completions.length])).toEqual([
    [1, 0, 3],
    [3, 1, 3],
    [5, 2, 3],
    [7, 3, 3],
  ]);
  const all = (await lines(join(outputDir, "completions.jsonl"))) as Record<string, unknown>[];
  expect(all).toHaveLength(4 * 8);
  expect(all[0]).toMatchObject({
    ...{ step: 1, generation: 0, prompt: expect.stringMatching(/^say/u), completion: expect.any(String) },
    ...{ rewards: { early: expect.any(Number) }, advantage: expect.any(Number), place: expect.any(String) },
  });
  expect(await readRunConfig(outputDir)).toMatchObject({
    trainer: "grpo",
    fromProgram: ["rewardFuncs", "rolloutFunc"],
  });
});

test("the reward rises", async () => {
  const { trainer: made } = await trainer({ maxSteps: 40, learningRate: 2e-3 }, { rolloutFunc: sampling });
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  const rewards = ofType(events, "log").map(({ reward }) => reward ?? Number.NaN);
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  expect(mean(rewards.slice(-5))).toBeGreaterThan(mean(rewards.slice(0, 5)) + 0.3);
});

/** Samples from what the fake model says, one letter at a time. */
const sampling: RolloutFunc = async ({ prompts: asked, numGenerations, seed, session }) => {
  const candidates = [97, 98, 99, 100, 101, 102, 103, 104];
  const answers = [];
  for (const [p, { promptIds }] of asked.entries())
    for (let n = 0; n < numGenerations; n += 1) {
      const ids: number[] = [];
      for (let t = 0; t < 3; t += 1) {
        const before = ids.at(-1) ?? promptIds.at(-1) ?? 0;
        // All candidates in one batch: log p of each after the token before it.
        const { logProb } = await session.logProbs({
          inputIds: Int32Array.from(candidates.flatMap((id) => [before, id])),
          labels: Int32Array.from(candidates.flatMap((id) => [-100, id])),
          positions: Int32Array.from(candidates.flatMap(() => [0, 1])),
          sequenceStarts: Int32Array.from({ length: candidates.length + 1 }, (_, k) => 2 * k),
          microBatch: new Int32Array(candidates.length),
          rowIds: new Int32Array(candidates.length),
        });
        const odds = candidates.map((_, k) => Math.exp(logProb[2 * k + 1] as number));
        const total = odds.reduce((a, b) => a + b, 0);
        let left = (drawBelow(1e6, [t, n, p, 98], keyOf(seed)) / 1e6) * total;
        const found = odds.findIndex((share) => {
          left -= share;
          return left < 0;
        });
        ids.push(candidates[found === -1 ? 0 : found] as number);
      }
      answers.push({ completionIds: [...ids, end] });
    }
  return answers;
};

test("a run goes on in the middle of a generation, to the bit, and asks for no reward twice", async () => {
  const calls: string[] = [];
  const counting: RewardFunction = (input) => {
    calls.push(`${input.state.generation}:${input.prompts[0]}`);
    return early(input);
  };
  const args = {
    ...{ numIterations: 2, stepsPerGeneration: 4, beta: 0.2, saveSteps: 1, saveStrategy: "steps", maxSteps: 7 },
    ...{ useAdaptiveEntropy: true, entropyTarget: 99, maskTruncatedCompletions: true, lossType: "bnpo" },
  };
  const functions = { rewardFuncs: { name: "early", reward: counting } };
  const { trainer: whole, outputDir } = await trainer(args, functions);
  const { lossHash } = await whole.train();
  const completions = await readFile(join(outputDir, "completions.jsonl"), "utf8");
  expect(new Set(calls).size).toBe(calls.length);
  const before = calls.length;
  for (const step of [1, 2, 3, 4, 6]) {
    const { trainer: again } = await trainer({ ...args, outputDir }, functions);
    const resumed = await again.train({ resumeFromCheckpoint: join(outputDir, `checkpoint-${step}`) });
    expect(resumed.lossHash, `from step ${step}`).toBe(lossHash);
    expect(await readFile(join(outputDir, "completions.jsonl"), "utf8")).toBe(completions);
  }
  expect(calls.length).toBe(before);
});

test("a reward that fails saves the run, which goes on without asking again for what is stored", async () => {
  let isBroken = true;
  const calls: number[] = [];
  const flaky: RewardFunction = (input) => {
    calls.push(input.state.generation);
    if (isBroken && input.state.generation === 2) throw new Error("no network");
    return early(input);
  };
  const args = { saveStrategy: "steps", saveSteps: 100 };
  const functions = { rewardFuncs: { name: "flaky", reward: flaky } };
  const { trainer: made, outputDir } = await trainer(args, functions);
  const failed = await made.train().then(
    () => null,
    (error: unknown) => error as Error,
  );
  expect(failed).toBeInstanceOf(CallbackError);
  expect(failed?.message).toMatch(
    /^\[rewardFuncs.flaky\] .*trainDataset:\d: prompt "say .*, completion ".*no network/u,
  );
  isBroken = false;
  const { trainer: next } = await trainer({ ...args, outputDir }, functions);
  const { trainer: whole } = await trainer(args, functions);
  calls.length = 0;
  const resumed = await next.train({ resumeFromCheckpoint: true });
  expect(calls.filter((generation) => generation < 2)).toEqual([]);
  expect(resumed.lossHash).toBe((await whole.train()).lossHash);
});

test("tokens that the model did not write are never trained, and change no ratio", async () => {
  const asked: number[][] = [];
  const withTool: RolloutFunc = async ({ prompts: given, numGenerations }) =>
    given.flatMap(() =>
      Array.from({ length: numGenerations }, (_, n) => ({
        completionIds: [97 + n, 65, 66, 97 + ((n * 3) % 8), end],
        envMask: [1, 0, 0, 1, 1],
      })),
    );
  const model = fakeModel();
  const { createSession } = model;
  model.createSession = async (options) => {
    const session = await createSession(options);
    const forward = session.forward.bind(session);
    session.forward = (batch, more) => {
      asked.push(Array.from(batch.labels));
      return forward(batch, more);
    };
    return session;
  };
  const { trainer: made } = await trainer({ maxSteps: 1 }, { rolloutFunc: withTool, model });
  await made.train();
  expect(asked.length).toBeGreaterThan(0);
  for (const labels of asked) {
    expect(labels).not.toContain(65);
    expect(labels).not.toContain(66);
    expect(labels.filter((label) => label === end).length).toBeGreaterThan(0);
  }
});

test("what looks broken and is not is said in a line, once", async () => {
  const flat: RewardFunction = ({ prompts: asked, completions }) =>
    completions.map((_, n) => (String(asked[0]) < "say d" ? 1 : n));
  const { trainer: made } = await trainer({ lossType: "grpo" }, { rewardFuncs: { name: "flat", reward: flat } });
  const notes = ofType((await record(made.train())).events, "note").map(({ message }) => message);
  expect(notes.filter((message) => /^the loss is 0 at step \d, and that is right/u.test(message))).toHaveLength(1);
  expect(notes.filter((message) => message.startsWith("reward_std"))).toHaveLength(1);
});

test("a generation of which everything is cut and masked is a step without a gradient, and is told", async () => {
  const cut: RolloutFunc = async ({ prompts: asked, numGenerations }) =>
    Array.from({ length: asked.length * numGenerations }, (_, n) => ({ completionIds: [97 + (n % 8)] }));
  const { trainer: made } = await trainer({ maskTruncatedCompletions: true, beta: 0.1 }, { rolloutFunc: cut });
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  expect(ofType(events, "step").map(({ loss, gradNorm }) => [loss, gradNorm])).toEqual(
    Array.from({ length: 8 }, () => [0, 0]),
  );
  expect(ofType(events, "health").map(({ rule }) => rule)).toContain("every-completion-cut");
});

test.each<[string, object, Partial<GRPOTrainerOptions>, RegExp]>([
  [
    "weights",
    { rewardWeights: [1, 2] },
    {},
    /\[rewardWeights\] expected 1 number, one per reward function \(early\), got 2/u,
  ],
  ["sizes", { numGenerations: 3 }, {}, /\[numGenerations\] expected a divisor/u],
  ["no function", {}, { rewardFuncs: [] }, /\[rewardFuncs\]/u],
  ["a column", {}, { evalDataset: prompts } as never, /"evalDataset"/u],
  ["an option of TRL that is not there", { generationKwargs: { a: 1 } }, {}, /\[generationKwargs\].*not yet/u],
])("wrong options are refused before anything is read: %s", (_, args, more, message) => {
  const make = () => new GRPOTrainer({ model: fakeModel(), trainDataset: prompts, rewardFuncs: early, args, ...more });
  expect(make).toThrow(OptionError);
  expect(make).toThrow(message);
});

test("what only the rows show is refused by a dry run", async () => {
  const dry = async (args: object, rows: object[]) =>
    (await trainer(args, { trainDataset: rows as never })).trainer.dryRun();
  await expect(dry({}, [{ prompt: "a", state: 1 }, { prompt: "b" }])).rejects.toThrow(
    /got "state" \(trainDataset:1\)/u,
  );
  await expect(dry({ maxCompletionLength: 511 }, prompts)).rejects.toThrow(
    /\[maxCompletionLength\] expected at most 507/u,
  );
  await expect(dry({}, prompts.slice(0, 1))).rejects.toThrow(/\[trainDataset\] expected at least 2 rows/u);
  const { data, memory, totalSteps, warnings } = await dry({ maxPromptLength: 5 }, [
    ...prompts,
    { prompt: "a prompt that is too long" },
  ]);
  expect(data).toMatchObject({ rows: 7, kept: 6, format: "prompt-only", trainedTokens: 0 });
  expect(data.dropped[0]?.reason).toMatch(/more than maxPromptLength 5/u);
  expect(memory?.pass).toMatchObject({ twoPhases: true, longest: 5 + 16 });
  expect(totalSteps).toBe(8);
  expect(warnings).toContainEqual(expect.stringMatching(/1 of 7 rows are left out/u));
});

test.each([
  [async () => [], /\[rolloutFunc\] expected 8 completions, 4 of each prompt next to each other, got 0/u],
  [async () => Array.from({ length: 8 }, () => ({ completionIds: [9999] })), /token ids below 132 in completion 1/u],
  [async () => Array.from({ length: 8 }, () => ({ completionIds: [97], envMask: [] })), /envMask of 1 entries/u],
  [async () => Array.from({ length: 8 }, () => ({})), /\{ completionIds \} as completion 1/u],
])("a rollout that gives something else is named", async (rolloutFunc, message) => {
  const { trainer: made } = await trainer({}, { rolloutFunc: rolloutFunc as never });
  await expect(made.train()).rejects.toThrow(message);
});
