import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, OptionError } from "@tunesmith/core";
import { competenceSampler, type SamplerFactory, stagedSampler, weightedSampler } from "@tunesmith/curriculum";
import { collate, type DatasetSource, mixDatasets, type Placed } from "@tunesmith/data";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { SFTTrainer, type SFTTrainerOptions, type TrainEvent, type TrainOptions } from "../index.ts";
import { entropyTrainer } from "../testing/entropy-recipe.ts";
import { type FakeOptions, fakeModel } from "../testing/fake-session.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";

// Many runs with all their syncing; a busy disk takes its time.
vi.setConfig({ testTimeout: 180_000 });

beforeEach(async () => {
  vi.stubEnv("HF_DATASETS_CACHE", await scratchFolder(onTestFinished));
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
});

const maxSteps = 5;
/** Conversations with answers of their own; each third has two turns more. */
const rows = Array.from({ length: 12 }, (_, n) => {
  const [asked, told] = ["abc".repeat((n % 4) + 1), String.fromCharCode(97 + 2 * n, 98 + n).repeat(2 + ((5 * n) % 7))];
  const turns = [
    { role: "user", content: `say ${asked}${n}` },
    { role: "assistant", content: told },
  ];
  return { messages: n % 3 === 0 ? [...turns, ...turns] : turns };
});
const plain = {
  ...{ maxSteps, perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 2, maxLength: 60, saveStrategy: "no" },
  ...{ learningRate: 1e-3, difficulty: "loss", tokenBudget: 120 },
};

const everyStep = { saveStrategy: "steps", saveSteps: 1 };

interface Run {
  args: object;
  outputDir?: string;
  more?: Partial<SFTTrainerOptions>;
  fake?: FakeOptions;
  start?: TrainOptions;
}

/** A run with the rows of each of its steps, its events, and how often its model was asked for losses. */
async function runOf({ args, outputDir, more, fake = {}, start = {} }: Run) {
  const steps: number[][] = [];
  let evaluations = 0;
  const model = fakeModel({
    ...fake,
    onCall: (name) => {
      if (name === "evaluate") evaluations += 1;
      fake.onCall?.(name);
    },
  });
  const dataCollator = (sequences: readonly Placed[]) => {
    steps.push(sequences.map(({ example }) => example.rowId));
    return collate(sequences);
  };
  const folder = outputDir ?? (await scratchFolder(onTestFinished));
  const options = { model, trainDataset: rows, dataCollator, ...more, args: { ...plain, ...args, outputDir: folder } };
  const { events, error } = await record(new SFTTrainer(options as SFTTrainerOptions).train(start));
  return { steps, events, error, evaluations, result: ofType(events, "done")[0]?.result };
}

const sorted = { trainSamplingStrategy: "staged", stages: [{ order: "easy_first" }] };
const stages = [{ maxLength: 40, order: "easy_first", hardShare: 0.3 }, {}];
const competence = { trainSamplingStrategy: "competence", competenceSteps: 20 };
const mixed = (): DatasetSource =>
  mixDatasets(
    [
      { dataset: rows, weight: 2 },
      { dataset: [..."abcdefgh"].map((letter, n) => ({ prompt: `${letter}${n} `, completion: letter.repeat(n + 2) })) },
    ],
    { stopping: "all_exhausted" },
  );
/** What the model finds easiest comes first, and rows that were taken do not come again: all of it by a program. */
const own: SamplerFactory = ({ lengths }) => ({
  measures: "ifd",
  size: () => lengths.length,
  epoch: (_, measured) => {
    const { taken, easiestFirst } = measured ?? { taken: new Int32Array(), easiestFirst: new Int32Array() };
    return [...taken, ...easiestFirst.filter((row) => !taken.includes(row))];
  },
});

test.each<[string, object, Partial<SFTTrainerOptions>?]>([
  ["competence", competence],
  ["competence by ifd, reversed", { ...competence, difficulty: "ifd", reverseCurriculum: true }],
  ["easiest first", sorted],
  ["stages with hard rows", { trainSamplingStrategy: "staged", stages }],
  ["packed rows", { ...sorted, packing: true }],
  ["packed rows that are split", { ...sorted, packing: true, packingStrategy: "wrapped", maxLength: 30 }],
  ["a mix", { ...sorted, difficulty: "ifd" }, { trainDataset: mixed() }],
  ["stages of a program", {}, { sampler: stagedSampler({ stages: [{ order: "easy_first" }], difficulty: "loss" }) }],
  ["competence of a program", {}, { sampler: competenceSampler({ difficulty: "loss", steps: 20 }) }],
  ["weights of a program", {}, { sampler: weightedSampler((_, loss) => loss ** 4, { measures: "loss" }) }],
  ["a sampler of a program", {}, { sampler: own }],
])(
  "%s: a run that measures again goes on from any step with the rows that it would have seen",
  async (_, args, more = {}) => {
    const outputDir = await scratchFolder(onTestFinished);
    const again = { ...args, difficultySteps: 2 };
    const whole = await runOf({ args: { ...again, ...everyStep }, outputDir, more });
    expect(whole.error).toBeNull();
    expect(whole.result?.difficulty).toMatchObject({ measured: 3, fromCache: 0 });
    // The weights have learnt: what is measured again orders the rows in another way.
    const once = await runOf({ args, more });
    expect(once.steps.slice(0, 2)).toEqual(whole.steps.slice(0, 2));
    expect(once.steps).not.toEqual(whole.steps);
    for (let step = 1; step < maxSteps; step += 1) {
      const start = { resumeFromCheckpoint: join(outputDir, `checkpoint-${step}`) };
      const rest = await runOf({ args: again, outputDir, more, start });
      expect(rest.error).toBeNull();
      expect(rest.steps).toEqual(whole.steps.slice(step));
      expect(rest.result?.lossHash).toBe(whole.result?.lossHash);
      const { seconds: _, ...report } = rest.result?.difficulty ?? {};
      expect(whole.result?.difficulty).toMatchObject(report);
    }
  },
);

test("a run that is killed or aborted while it measures goes on as one that never was", async () => {
  const args = { ...sorted, difficultySteps: 3 };
  const whole = await runOf({ args });
  const passes = whole.evaluations / 2;
  expect(passes).toBeGreaterThan(2);
  for (let at = passes + 1; at <= 2 * passes; at += 1) {
    for (const how of ["kill", "abort"]) {
      const outputDir = await scratchFolder(onTestFinished);
      const stop = new AbortController();
      let left = at;
      const onCall = (name: string) => {
        if (name !== "evaluate") return;
        left -= 1;
        if (left === 0 && how === "kill") throw new Error("killed");
        if (left === 0) stop.abort();
      };
      const start = { signal: stop.signal };
      // The checkpoint of step 3 is there before, or is written because of the stop.
      const saving = how === "kill" ? everyStep : {};
      const first = await runOf({ args: { ...args, ...saving }, outputDir, fake: { onCall }, start });
      expect(first.error?.message).toMatch(how === "kill" ? /killed/u : /stopped as asked after step 3/u);
      expect(first.steps).toEqual(whole.steps.slice(0, 3));
      const rest = await runOf({ args, outputDir, start: { resumeFromCheckpoint: true } });
      expect(rest.steps).toEqual(whole.steps.slice(3));
      expect(rest.result?.lossHash).toBe(whole.result?.lossHash);
    }
  }
});

test("a run that is stopped once it has measured does not measure again", async () => {
  const args = { ...sorted, difficultySteps: 3 };
  const whole = await runOf({ args });
  const outputDir = await scratchFolder(onTestFinished);
  const stop = new AbortController();
  const stopped: SFTTrainerOptions["callbacks"] = [
    (event) => void (event.type === "measuring" && event.step === 3 && stop.abort()),
  ];
  const first = await runOf({ args, outputDir, more: { callbacks: stopped }, start: { signal: stop.signal } });
  expect(first.error?.message).toMatch(/stopped as asked after step 3/u);
  const rest = await runOf({ args, outputDir, start: { resumeFromCheckpoint: true } });
  expect([rest.evaluations, rest.result?.difficulty?.measured]).toEqual([0, 2]);
  expect(rest.steps).toEqual(whole.steps.slice(3));
  expect(rest.result?.lossHash).toBe(whole.result?.lossHash);
});

/** Losses of steps of one row with weights that stay. */
const losses = (events: readonly TrainEvent[]) => ofType(events, "step").map(({ loss }) => loss);

test("rows come from the easiest to the hardest by their own loss, or the other way round", async () => {
  const one = { ...sorted, gradientAccumulationSteps: 1, maxSteps: 12, learningRate: 0 };
  const forward = await runOf({ args: one });
  const ascending = [...losses(forward.events)].sort((a, b) => a - b);
  expect(new Set(ascending).size).toBe(12);
  expect(losses(forward.events)).toEqual(ascending);
  expect(forward.steps.flat()).not.toEqual((await runOf({ args: { ...one, difficulty: "length" } })).steps.flat());
  const reverse = await runOf({ args: { ...one, reverseCurriculum: true } });
  expect(losses(reverse.events)).toEqual(ascending.reverse());
});

test("rows that were trained on before a measurement do not come again in the pass, and all others do", async () => {
  // Of the hardest first, training moves those that were seen towards those to come.
  for (const [difficultySteps, reverseCurriculum] of [1, 2, 5].flatMap((n) => [
    [n, false] as const,
    [n, true] as const,
  ])) {
    const { steps } = await runOf({ args: { ...sorted, difficultySteps, reverseCurriculum, maxSteps: 12 } });
    for (const pass of [steps.slice(0, 6), steps.slice(6)])
      expect(pass.flat().sort((a, b) => a - b)).toEqual([...rows.keys()]);
  }
});

/** A model folder, as far as its digest goes. */
async function modelFolder(content: string): Promise<string> {
  const path = await scratchFolder(onTestFinished);
  await writeFile(join(path, "config.json"), content);
  return path;
}

const cacheOf = () => join(process.env.HF_DATASETS_CACHE ?? "", "tunesmith-tokens");

test("what was measured before the first step is taken from the cache, in another run too", async () => {
  const fake = { path: await modelFolder("one") };
  const args = { ...sorted, difficultySteps: 4, maxSteps: 5 };
  const first = await runOf({ args, fake });
  const second = await runOf({ args, fake });
  expect(second.evaluations).toBe(first.evaluations / 2);
  expect([first.result?.difficulty?.fromCache, second.result?.difficulty?.fromCache]).toEqual([0, 1]);
  expect([second.steps, second.result?.lossHash]).toEqual([first.steps, first.result?.lossHash]);
  expect(ofType(second.events, "measuring").map(({ step, fromCache }) => [step, fromCache])).toEqual([
    [0, true],
    [4, false],
  ]);
  // A file that is not whole is made again.
  const [name = ""] = await readdir(cacheOf());
  const whole = await readFile(join(cacheOf(), name));
  await writeFile(join(cacheOf(), name), whole.subarray(0, whole.length - 1));
  expect((await runOf({ args, fake })).evaluations).toBe(first.evaluations);
  expect(await readFile(join(cacheOf(), name))).toEqual(whole);
});

test("another model, adapter, rows, template, measure or packing is measured by itself", async () => {
  const path = await modelFolder("one");
  const base: Run = { args: sorted, fake: { path } };
  const { evaluations: all } = await runOf(base);
  expect(all).toBeGreaterThan(0);
  const asked = async (run: Run) => (await runOf({ ...base, ...run })).evaluations > 0;
  expect(await asked({ args: { ...sorted, learningRate: 5e-4, seed: 7 } })).toBe(false);
  const adapter = await modelFolder("adapter");
  await writeFile(join(adapter, "adapter_config.json"), "{}");
  const others: Run[] = [
    { args: sorted, fake: { path: await modelFolder("two") } },
    { args: sorted, more: { peftConfig: { r: 3 } } },
    { args: sorted, more: { peftConfig: { fullFinetuning: true } } },
    { args: sorted, more: { peftConfig: { adapterPath: adapter } } },
    { args: sorted, more: { trainDataset: conversations(11) } },
    // What another template writes are other tokens.
    {
      args: sorted,
      more: {
        formattingFunc: ({ messages }) => ({ messages: [{ role: "system", content: "x" }, ...(messages as [])] }),
      },
    },
    { args: { ...sorted, maxLength: 20 } },
    { args: { ...sorted, difficulty: "ifd" } },
    { args: { ...sorted, packing: true } },
    { args: { ...sorted, packing: true, packingStrategy: "best_fit" } },
    { args: { ...sorted, promptLossWeight: 0.5 } },
  ];
  for (const other of others) {
    expect([await asked(other), other]).toEqual([true, other]);
    expect([await asked(other), other]).toEqual([false, other]);
  }
  // An adapter that is not 0 at first follows from the seed.
  const random = (seed: number) =>
    asked({ args: { ...sorted, seed }, more: { peftConfig: { initLoraWeights: false } } });
  expect([await random(1), await random(1), await random(2)]).toEqual([true, false, true]);
  const ofAdapter = () => asked({ args: sorted, more: { peftConfig: { adapterPath: adapter } } });
  await writeFile(join(adapter, "adapter_model.safetensors"), "other weights");
  expect([await ofAdapter(), await ofAdapter()]).toEqual([true, false]);
  await writeFile(join(adapter, "adapter_config.json"), '{ "r": 9 }');
  expect(await ofAdapter()).toBe(true);
  expect(await asked({ args: { ...sorted, loadFromCacheFile: false } })).toBe(true);
});

test("a cache that cannot be written to, and a model that is no file, are done without", async () => {
  const path = await modelFolder("one");
  await mkdir(process.env.HF_DATASETS_CACHE ?? "", { recursive: true });
  await writeFile(cacheOf(), "a file in its place");
  for (const fake of [{ path }, {}]) {
    const [first, second] = [await runOf({ args: sorted, fake }), await runOf({ args: sorted, fake })];
    expect([first.error, second.evaluations]).toEqual([null, first.evaluations]);
  }
});

test("after the last step nothing is measured any more, nor where a run that has ended is resumed", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const run = { args: { ...sorted, difficultySteps: 2, maxSteps: 4, saveStrategy: "steps", saveSteps: 2 }, outputDir };
  expect((await runOf(run)).result?.difficulty).toMatchObject({ measured: 2 });
  const again = await runOf({ ...run, start: { resumeFromCheckpoint: true } });
  expect([again.error, again.evaluations]).toEqual([null, 0]);
});

test("a run that measures is planned like any other, and only asks the model once it trains", async () => {
  const calls: string[] = [];
  const args = { ...plain, ...sorted, maxSteps: -1, numTrainEpochs: 2, outputDir: await scratchFolder(onTestFinished) };
  const options = { model: fakeModel({ onCall: (name) => calls.push(name) }), trainDataset: rows, args };
  const dry = await new SFTTrainer(options as SFTTrainerOptions).dryRun();
  expect([dry.totalSteps, calls]).toEqual([12, []]);
  // The longest rows may meet in one pass.
  expect(dry.memory?.pass.longest).toBe(dry.data.tokens.max);
  expect(dry.memory?.pass.tokens).toBe(2 * dry.data.tokens.max);
});

test("long measurements say how far they are, and short ones that they are done", async () => {
  let now = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => {
    now += 400;
    return now;
  });
  onTestFinished(() => clock.mockRestore());
  const { events } = await runOf({ args: { ...sorted, maxSteps: 1 } });
  const told = ofType(events, "measuring");
  expect(told.length).toBeGreaterThan(3);
  expect(told.map(({ rows }) => rows)).toEqual(told.map(({ rows }) => rows).sort((a, b) => a - b));
  expect(told.at(-1)).toEqual({ type: "measuring", step: 0, difficulty: "loss", rows: 12, share: 1, fromCache: false });
  expect(events.findIndex(({ type }) => type === "measuring")).toBeGreaterThan(
    events.findIndex(({ type }) => type === "prepared"),
  );
});

test.each<[string, Run, RegExp]>([
  [
    "maxTokensPerBatch",
    { args: { ...sorted, maxTokensPerBatch: 50 } },
    /\[maxTokensPerBatch\] expected none with rows ordered by loss/u,
  ],
  [
    "ifd of plain text",
    { args: { ...sorted, difficulty: "ifd" }, more: { trainDataset: [{ text: "abc" }, { text: "de" }] } },
    /\[difficulty\] .* trained whole .*choose "loss"/u,
  ],
  [
    "ifd of weighed prompts",
    { args: { ...sorted, difficulty: "ifd", promptLossWeight: 0.5 } },
    /\[difficulty\] .* promptLossWeight/u,
  ],
  [
    "a sampler that wants something else",
    { args: {}, more: { sampler: () => ({ size: () => 1, epoch: () => [0], measures: "age" as "loss" }) } },
    /\[sampler\] expected one of loss, ifd as measures, got age/u,
  ],
])("%s is refused before the first step", async (_, run, message) => {
  const { error, steps } = await runOf(run);
  expect(error).toBeInstanceOf(OptionError);
  expect(error?.message).toMatch(message);
  expect(steps).toEqual([]);
});

test("a trainer that measures no rows refuses an order that needs it", async () => {
  const args = { ...sorted, difficulty: "loss", maxSteps: 1, outputDir: await scratchFolder(onTestFinished) };
  const run = entropyTrainer({ model: fakeModel(), trainDataset: rows, evalDataset: null, args }).train();
  await expect(run).rejects.toThrow(
    /\[difficulty\] expected length or turns, for this trainer measures no rows, got "loss"/u,
  );
});

test("what has no effect is said", async () => {
  const warnings = async (run: Run) => (await runOf(run)).result?.warnings.join("\n");
  const loose = { trainSamplingStrategy: "staged", stages: [{ maxLength: 40 }, {}] };
  expect(await warnings({ args: loose })).toMatch(/difficulty loss has no effect: no stage has the order easy_first/u);
  expect(await warnings({ args: { ...sorted, difficulty: "turns", difficultySteps: 2 } })).toMatch(
    /difficultySteps 2 has no effect: difficulty is turns/u,
  );
  expect(await warnings({ args: { difficultySteps: 2 } })).toMatch(/difficultySteps 2 has no effect: trainSampling/u);
  const sampler = competenceSampler();
  expect(await warnings({ args: { difficultySteps: 2 }, more: { sampler } })).toMatch(
    /difficultySteps 2 has no effect: sampler has nothing measured/u,
  );
  expect(await warnings({ args: {}, more: { sampler } })).not.toContain("difficultySteps");
  const measuring = competenceSampler({ difficulty: "loss" });
  expect(await warnings({ args: { difficultySteps: 2 }, more: { sampler: measuring } })).not.toContain(
    "difficultySteps",
  );
});

test("a checkpoint with the difficulty of other rows is refused", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  await runOf({ args: everyStep, outputDir, more: { sampler: competenceSampler({ difficulty: "loss" }) } });
  const more = { sampler: competenceSampler({ difficulty: "ifd" }) };
  const { error } = await runOf({ args: {}, outputDir, more, start: { resumeFromCheckpoint: true } });
  expect(error).toBeInstanceOf(CheckpointError);
  expect(error?.message).toMatch(/expected the ifd of 12 rows in the checkpoint, got the loss of 12/u);
});
