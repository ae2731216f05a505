import { cp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, OutOfMemoryError } from "@tunesmith/core";
import { collate, type Placed } from "@tunesmith/data";
import { expect, test, vi } from "vitest";
import { readRunConfig, SFTTrainer } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { lines } from "../testing/lines.ts";
import { gib, plan } from "../testing/memory-plan.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations } from "../testing/scratch.ts";
import { trainer } from "../testing/sft-trainer.ts";

vi.setConfig({ testTimeout: 60_000 });

/** The events of a run of six steps, three an epoch. */
async function events(args: object, fake = {}) {
  const { trainer: sft, outputDir } = await trainer(args, fake);
  const found = await record(sft.train());
  expect(found.error).toBeNull();
  return { ...found, outputDir };
}

const stepsOf = (found: readonly { type: string; step?: number }[], type: string) =>
  found.flatMap((event) => (event.type === type ? [event.step] : []));

test("loggingStrategy and loggingFirstStep say after which steps a line is written", async () => {
  const logged = async (args: object) => stepsOf((await events(args)).events, "log");
  expect(await logged({ loggingSteps: 4 })).toEqual([4, 6]);
  expect(await logged({ loggingSteps: 4, loggingFirstStep: true })).toEqual([1, 4, 6]);
  expect(await logged({ loggingStrategy: "epoch" })).toEqual([3, 6]);
  const { events: silent, outputDir } = await events({ loggingStrategy: "no", evalStrategy: "no" });
  expect(stepsOf(silent, "log")).toEqual([]);
  expect(await readFile(join(outputDir, "metrics.jsonl"), "utf8")).toBe("");
});

test("evalDelay holds evaluations back by steps, or with epochs by epochs", async () => {
  const evaluated = async (args: object) => stepsOf((await events(args)).events, "eval");
  expect(await evaluated({ evalStrategy: "steps", evalSteps: 1, evalDelay: 4 })).toEqual([4, 5, 6]);
  expect(await evaluated({ evalStrategy: "epoch", evalDelay: 2 })).toEqual([6]);
  expect(await evaluated({ evalStrategy: "epoch", evalDelay: 2, evalOnStart: true })).toEqual([0, 6]);
});

test("greaterIsBetter turns round what is best, and a metric may be named without eval_", async () => {
  const best = async (args: object) => {
    const { events: found } = await events({ evalSteps: 2, ...args }, { evalLosses: [1, 3, 2] });
    return ofType(found, "eval").flatMap((event) => (event.best ? [event.step] : []));
  };
  expect(await best({})).toEqual([2]);
  expect(await best({ greaterIsBetter: true, metricForBestModel: "loss" })).toEqual([2, 4]);
});

test("several evaluation sets by name have metrics of their own, one of which chooses the best", async () => {
  const outputDir = (await trainer({})).outputDir;
  const run = (more: object, evalLosses: number[]) =>
    new SFTTrainer({
      model: fakeModel({ evalLosses }),
      trainDataset: conversations(20),
      evalDataset: { a: conversations(3), b: conversations(5) },
      args: { outputDir, maxLength: 512, maxSteps: 4, perDeviceTrainBatchSize: 4, evalSteps: 2, ...more },
    });
  const dry = await run({}, []).dryRun();
  expect([dry.evalData?.rows, dry.evalSets?.a?.rows, dry.evalSets?.b?.rows]).toEqual([3, 3, 5]);
  // Steps 2 and 4, each on a and then on b.
  const sft = run({ metricForBestModel: "eval_b_loss", loadBestModelAtEnd: true }, [1, 5, 2, 4]);
  const { events: found, error } = await record(sft.train());
  expect(error).toBeNull();
  expect(ofType(found, "eval").map(({ step, dataset, evalLoss, best }) => [step, dataset, evalLoss, best])).toEqual([
    [2, "a", 1, false],
    [2, "b", 5, true],
    [4, "a", 2, false],
    [4, "b", 4, true],
  ]);
  const written = (await lines(join(outputDir, "metrics.jsonl"))).filter(
    (line) => "eval_a_loss" in line || "eval_b_loss" in line,
  );
  expect(written.map(({ step, eval_a_loss: a, eval_b_loss: b }) => [step, a, b])).toEqual([
    [2, 1, undefined],
    [2, undefined, 5],
    [4, 2, undefined],
    [4, undefined, 4],
  ]);
  const [prepared] = ofType(found, "prepared");
  expect(Object.entries(prepared?.evalSets ?? {}).map(([name, { kept }]) => [name, kept])).toEqual([
    ["a", 3],
    ["b", 5],
  ]);
  expect(() => run({ metricForBestModel: "eval_c_loss" }, [])).toThrow(
    /^\[metricForBestModel\] expected one of eval_a_loss, eval_b_loss, .*got "eval_c_loss"/u,
  );
  expect(() => run({ loadBestModelAtEnd: true }, [])).toThrow(/\[metricForBestModel\] expected one of eval_a_loss/u);
  expect(
    () => new SFTTrainer({ model: fakeModel({}), trainDataset: conversations(2), evalDataset: { "a b": [] } }),
  ).toThrow(/^\[evalDataset\] expected names of letters/u);
});

test("evaluation sets that have exchanged their names are others", async () => {
  const digestOf = async (evalDataset: Record<string, ReturnType<typeof conversations>>) => {
    const { outputDir } = await trainer({});
    const args = { outputDir, maxLength: 512, maxSteps: 1 };
    const sft = new SFTTrainer({ model: fakeModel({}), trainDataset: conversations(4), evalDataset, args });
    expect((await record(sft.train())).error).toBeNull();
    const text = await readFile(join(outputDir, "env.json"), "utf8");
    return (JSON.parse(text) as { dataSha256: { eval: string } }).dataSha256.eval;
  };
  const [few, many] = [conversations(3), conversations(5)];
  const first = await digestOf({ a: few, b: many });
  expect(first).toMatch(/^[0-9a-f]{64}$/u);
  expect(await digestOf({ a: few, b: many })).toBe(first);
  // In the same order, so that the rows are the same ones after another.
  expect(await digestOf({ b: few, a: many })).not.toBe(first);
});

/** Trains without an evaluation set; gives the rows of each step, in their order. */
async function rowsOf(args: object, rows = 20, resume: true | undefined = undefined, model = fakeModel({})) {
  const passes: number[][] = [];
  const dataCollator = (sequences: readonly Placed[]) => {
    passes.push(sequences.map(({ example }) => example.rowId));
    return collate(sequences);
  };
  const more = { evalDataset: null, dataCollator, model, trainDataset: conversations(rows) };
  const { trainer: sft, outputDir } = await trainer({ tokenBudget: 100_000, ...args }, {}, more);
  const found = await record(sft.train(resume === undefined ? {} : { resumeFromCheckpoint: resume }));
  return { ...found, passes, outputDir };
}

test("dataSeed is the seed of the order alone", async () => {
  const seen = async (args: object) => (await rowsOf({ maxSteps: 3, ...args })).passes;
  const plain = await seen({});
  expect(await seen({ seed: 1 })).not.toEqual(plain);
  expect(await seen({ seed: 1, dataSeed: 3407 })).toEqual(plain);
  expect(await seen({ dataSeed: 5 })).toEqual(await seen({ seed: 5 }));
});

test("dataloaderDropLast leaves out the smaller micro-batch at the end of an epoch", async () => {
  const batch = { perDeviceTrainBatchSize: 8, gradientAccumulationSteps: 1, numTrainEpochs: 2 };
  const sizes = async (args: object, rows = 20) =>
    (await rowsOf({ ...batch, ...args }, rows)).passes.map(({ length }) => length);
  expect(await sizes({})).toEqual([8, 8, 4, 8, 8, 4]);
  expect(await sizes({ dataloaderDropLast: true })).toEqual([8, 8, 8, 8]);
  expect(await sizes({ dataloaderDropLast: true }, 16)).toEqual([8, 8, 8, 8]);
  // Where tokens say what a micro-batch holds, no number of rows is too few.
  const byTokens = await rowsOf({ ...batch, dataloaderDropLast: true, maxTokensPerBatch: 500 });
  expect([byTokens.error, new Set(byTokens.passes.flat()).size]).toEqual([null, 20]);
  expect(ofType(byTokens.events, "warning").map(({ message }) => message)).toContain(
    "dataloaderDropLast true has no effect: maxTokensPerBatch says what a batch holds",
  );
  const none = await rowsOf({ ...batch, dataloaderDropLast: true }, 7);
  expect(none.error?.message).toMatch(
    /^\[dataloaderDropLast\] expected at least one micro-batch of 8 rows in an epoch, got 7 rows/u,
  );
});

test("shuffleDataset shuffles a sequential order once, the same way in every epoch", async () => {
  const order = async (args: object) => {
    const { passes } = await rowsOf({ trainSamplingStrategy: "sequential", numTrainEpochs: 2, ...args });
    const all = passes.flat();
    return [all.slice(0, 20), all.slice(20)];
  };
  const inOrder = Array.from({ length: 20 }, (_, n) => n);
  expect(await order({})).toEqual([inOrder, inOrder]);
  const [first = [], second] = await order({ shuffleDataset: true });
  expect(first).not.toEqual(inOrder);
  expect([...first].sort((a, b) => a - b)).toEqual(inOrder);
  expect(second).toEqual(first);
});

test("saveOnlyModel leaves the optimizer out of checkpoints, and what cannot be resumed says so", async () => {
  const save = { saveSteps: 2, saveOnlyModel: true };
  const { outputDir } = await events({ ...save, evalStrategy: "no" });
  expect(await readdir(join(outputDir, "checkpoint-4"))).not.toContain("optimizer.safetensors");
  const again = new SFTTrainer({
    model: fakeModel({}),
    trainDataset: conversations(20),
    args: { outputDir, maxLength: 512 },
  });
  const path = join(outputDir, "checkpoint-4");
  const { error } = await record(again.train({ resumeFromCheckpoint: path }));
  expect(error).toBeInstanceOf(CheckpointError);
  expect(error?.message).toMatch(
    /expected the optimizer's state to go on with, got the model alone \(saveOnlyModel\); start a new run/u,
  );
});

test("with saveOnlyModel the best checkpoint can be gone back to", async () => {
  const args = { evalSteps: 2, saveSteps: 2, saveOnlyModel: true, loadBestModelAtEnd: true };
  const { events: found, outputDir } = await events(args, { evalLosses: [2, 1, 3] });
  const [done] = ofType(found, "done");
  expect(done?.result.evalAfter).toMatchObject({ evalLoss: 1 });
  expect(await readdir(join(outputDir, "checkpoint-6"))).not.toContain("optimizer.safetensors");
});

test("ignoreDataSkip begins the epoch again after a resume, and the run has as many steps", async () => {
  const outputDir = (await trainer({})).outputDir;
  const args = { outputDir, saveSteps: 2, numTrainEpochs: 2 };
  const whole = await rowsOf({ ...args, outputDir: (await trainer({})).outputDir });
  expect(whole.passes).toHaveLength(6);
  await rowsOf({ ...args, lrSchedulerType: "constant", maxSteps: 2 });
  const rest = async (more: object) => {
    const copy = (await trainer({})).outputDir;
    await cp(outputDir, copy, { recursive: true });
    return (await rowsOf({ ...args, outputDir: copy, lrSchedulerType: "constant", ...more }, 20, true)).passes;
  };
  expect(await rest({})).toEqual(whole.passes.slice(2));
  expect(await rest({ ignoreDataSkip: true })).toEqual(whole.passes.slice(0, 4));
  // In the second epoch it is that one's beginning.
  await rowsOf({ ...args, lrSchedulerType: "constant", maxSteps: 4 }, 20, true);
  expect(await rest({ ignoreDataSkip: true })).toEqual(whole.passes.slice(3, 5));
});

test("autoFindBatchSize halves passes until the run fits; steps and what a resumed run does stay the same", async () => {
  // Memory by the tokens of a pass.
  const model = (most: number) =>
    Object.assign(fakeModel({}), {
      estimateMemory: async (_: unknown, { tokens }: { tokens: number }) => ({
        ...plan,
        peak: tokens > most ? 1e6 * gib : 0,
      }),
    });
  const args = { maxSteps: 4, saveSteps: 2, tokenBudget: 512 };
  const refused = await rowsOf(args, 20, undefined, model(100));
  expect(refused.error).toBeInstanceOf(OutOfMemoryError);
  const found = await rowsOf({ ...args, autoFindBatchSize: true }, 20, undefined, model(100));
  expect(found.error).toBeNull();
  expect(ofType(found.events, "warning").map(({ message }) => message)).toContainEqual(
    expect.stringMatching(/^autoFindBatchSize: a pass has 64 tokens in place of 512, since the run would not fit/u),
  );
  expect((await readRunConfig(found.outputDir)).args).toMatchObject({ tokenBudget: 64, perDeviceTrainBatchSize: 4 });
  const whole = await rowsOf(args, 20, undefined, model(1e9));
  const losses = (events: typeof found.events) => ofType(events, "step").map(({ loss }) => loss.toPrecision(6));
  expect(losses(found.events)).toEqual(losses(whole.events));
  expect(found.passes.length).toBeGreaterThan(whole.passes.length);
  // What was decided stands, though there is more room now.
  await rm(join(found.outputDir, "checkpoint-4"), { recursive: true });
  const again = { ...args, outputDir: found.outputDir, autoFindBatchSize: true };
  const resumed = await rowsOf(again, 20, true, model(1e9));
  expect(resumed.error).toBeNull();
  expect(losses(resumed.events)).toEqual(losses(whole.events).slice(2));
  const none = await rowsOf({ ...args, autoFindBatchSize: true }, 20, undefined, model(5));
  expect(none.error).toBeInstanceOf(OutOfMemoryError);
});

test("averageTokensAcrossDevices has nothing to do: a step is the mean over all its tokens, however they are parted", async () => {
  const losses = async (args: object) => {
    const { events: found } = await events({ evalStrategy: "no", maxSteps: 2, ...args });
    return ofType(found, "step").map(({ loss }) => loss);
  };
  const whole = await losses({ perDeviceTrainBatchSize: 8, gradientAccumulationSteps: 1 });
  for (const averageTokensAcrossDevices of [true, false]) {
    const parted = await losses({
      perDeviceTrainBatchSize: 1,
      gradientAccumulationSteps: 8,
      averageTokensAcrossDevices,
    });
    for (const [n, loss] of parted.entries()) expect(loss).toBeCloseTo(whole[n] as number, 6);
  }
});
