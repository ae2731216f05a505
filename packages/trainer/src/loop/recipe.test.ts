// A second recipe gets everything that the loop has, and nothing of the loop knows of it.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CallbackError, CheckpointError, DataError, digestFile, OptionError } from "@tunesmith/core";
import { expect, onTestFinished, test, vi } from "vitest";
import { type EntropyMetrics, entropyTrainer } from "../testing/entropy-recipe.ts";
import { type FakeOptions, fakeModel } from "../testing/fake-session.ts";
import { lines } from "../testing/lines.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";
import type { TrainCallback } from "./hooks/callback.ts";

// Whole runs with all their syncing; a busy disk takes its time.
vi.setConfig({ testTimeout: 60_000 });

const usual = {
  maxSteps: 6,
  perDeviceTrainBatchSize: 3,
  gradientAccumulationSteps: 2,
  loggingSteps: 2,
  evalSteps: 2,
  saveStrategy: "end",
  sampleEverySteps: 3,
  sampleMaxNewTokens: 4,
  lrSchedulerType: "cosine",
};

function trainer(
  outputDir: string,
  args: object = {},
  callbacks: TrainCallback<EntropyMetrics>[] = [],
  fake: FakeOptions = {},
) {
  const rows = { trainDataset: conversations(14), evalDataset: conversations(5) };
  return entropyTrainer({ model: fakeModel(fake), ...rows, args: { ...usual, ...args, outputDir } }, callbacks);
}

/** What two equal runs have in common, byte for byte. */
async function outcome(runDir: string) {
  const text = (name: string) => readFile(join(runDir, name), "utf8");
  const { lossHash, eval: evaluations } = JSON.parse(await text("report.json"));
  return {
    adapter: await digestFile(join(runDir, "adapter/adapter_model.safetensors")),
    optimizer: await digestFile(join(runDir, "checkpoint-6/optimizer.safetensors")),
    state: await text("checkpoint-6/recipe_state.json"),
    metrics: await text("metrics.jsonl"),
    samples: await text("samples.jsonl"),
    report: { lossHash, evaluations },
  };
}

async function wholeRun(): Promise<string> {
  const outputDir = await scratchFolder(onTestFinished);
  await trainer(outputDir).train();
  return outputDir;
}

test("its own metrics stand in events, in metrics.jsonl and in the report", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const { events, error } = await record(trainer(outputDir).train());
  expect(error).toBeNull();
  const samples = "sample sample sample";
  const first = `step step log evalBegin eval ${samples} step epochEnd ${samples}`;
  const second = `step log evalBegin eval ${samples} step step epochEnd log evalBegin eval ${samples} checkpoint`;
  expect(events.map(({ type }) => type).join(" ")).toBe(
    `prepared trainBegin ${samples} epochBegin ${first} health epochBegin ${second} trainEnd done`,
  );
  const logs = ofType(events, "log");
  expect(logs.map(({ entropyCoef }) => entropyCoef)).toEqual([-0.125, -0.375, -0.625]);
  expect(logs.at(-1)?.entropy).toBeLessThan(logs[0]?.entropy ?? 0);
  const [evaluation] = ofType(events, "eval").slice(-1);
  const written = await lines(join(outputDir, "metrics.jsonl"));
  expect(written[0]).toEqual({
    step: 2,
    epoch: 0.8,
    loss: logs[0]?.loss,
    learning_rate: logs[0]?.learningRate,
    grad_norm: logs[0]?.gradNorm,
    num_tokens: logs[0]?.numTokens,
    entropy: logs[0]?.entropy,
    entropy_coef: -0.125,
  });
  expect(written.at(-1)).toMatchObject({ eval_loss: evaluation?.evalLoss, eval_accuracy: evaluation?.evalAccuracy });
  const report = JSON.parse(await readFile(join(outputDir, "report.json"), "utf8"));
  expect(report.eval.after).toEqual({ evalLoss: evaluation?.evalLoss, evalAccuracy: evaluation?.evalAccuracy });
});

test("the term in the entropy moves the weights as its coefficient says", async () => {
  const entropy = async (targetEntropy: number) => {
    const args = { targetEntropy, maxSteps: 12, learningRate: 1e-3 };
    const { events } = await record(trainer(await scratchFolder(onTestFinished), args).train());
    return ofType(events, "log").at(-1)?.entropy ?? 0;
  };
  expect(await entropy(10)).toBeGreaterThan((await entropy(0)) + 0.1);
});

test("a run stopped after any step goes on to the same bytes, its own state included", async () => {
  const whole = await outcome(await wholeRun());
  expect(JSON.parse(whole.state)).toEqual({ coef: -0.75 });
  for (let stop = 1; stop < 6; stop += 1) {
    const outputDir = await scratchFolder(onTestFinished);
    const controller = new AbortController();
    const stopping: TrainCallback = (event) => {
      if (event.type === "step" && event.step === stop) controller.abort();
    };
    await expect(trainer(outputDir, {}, [stopping]).train({ signal: controller.signal })).rejects.toThrow(
      `after step ${stop} of 6`,
    );
    await trainer(outputDir).train({ resumeFromCheckpoint: true });
    expect(await outcome(outputDir)).toEqual(whole);
  }
});

test("its own options decide whether a run may go on", async () => {
  const outputDir = await wholeRun();
  const resumed = (args: object) => trainer(outputDir, args).train({ resumeFromCheckpoint: true });
  await expect(resumed({ targetEntropy: 1 })).rejects.toThrow(/targetEntropy \(was 4, is 1\)/);
  await resumed({ metricForBestModel: "eval_accuracy" });
  // As another trainer would have written it.
  const manifest = join(outputDir, "checkpoint-6", "MANIFEST.json");
  const { files } = JSON.parse(await readFile(manifest, "utf8"));
  delete files["recipe_state.json"];
  await writeFile(manifest, JSON.stringify({ files }));
  await expect(resumed({})).rejects.toThrow(CheckpointError);
});

test("the best model is chosen by a metric of its own, which stops the run early", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const choice = { metricForBestModel: "eval_accuracy", loadBestModelAtEnd: true, saveStrategy: "no", evalSteps: 1 };
  const args = { ...choice, maxSteps: 20, earlyStoppingPatience: 2, learningRate: 1e-3 };
  const { events, error } = await record(trainer(outputDir, args).train());
  expect(error).toBeNull();
  const evaluations = ofType(events, "eval");
  const accuracies = evaluations.map(({ evalAccuracy }) => evalAccuracy);
  const best = Math.max(...accuracies);
  const { result } = ofType(events, "done")[0] ?? {};
  expect(result).toMatchObject({ stoppedBy: "early_stopping", evalAfter: { evalAccuracy: best } });
  expect(result?.globalStep).toBe(accuracies.indexOf(best) + 3);
  const report = JSON.parse(await readFile(join(outputDir, "report.json"), "utf8"));
  expect(report.eval).toMatchObject({
    metricForBestModel: "eval_accuracy",
    best,
    bestStep: accuracies.indexOf(best) + 1,
  });
  expect(() => trainer(outputDir, { metricForBestModel: "eval_mean_token_accuracy" })).toThrow(
    "[metricForBestModel] expected one of eval_loss, eval_accuracy, got",
  );
});

test("callbacks see its events and may end the run, which leaves a checkpoint with its state", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const seen: string[] = [];
  const callback: TrainCallback<EntropyMetrics> = (event) => {
    if (event.type !== "stepBegin") seen.push(event.type);
    if (event.type === "log" && event.step === 4 && event.entropyCoef < 0) throw new Error("enough");
  };
  const { events, error } = await record(trainer(outputDir, {}, [callback]).train());
  expect(error).toBeInstanceOf(CallbackError);
  expect(seen).toEqual(events.slice(0, seen.length).map(({ type }) => type));
  expect(await readdir(join(outputDir, "checkpoint-4"))).toContain("recipe_state.json");
});

test("a step that is not finite is skipped and named with its rows", async () => {
  const made = trainer(await scratchFolder(onTestFinished), {}, [], { nonFiniteSteps: [2] });
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  expect(ofType(events, "warning").map(({ message }) => message)).toEqual([
    expect.stringMatching(/^step 2: loss .*gradient norm NaN; rows: trainDataset:\d+, .*the step was skipped/),
  ]);
});

test("a dry run says what the run says, and loads nothing", async () => {
  const calls: string[] = [];
  const fake = { onCall: (name: string) => calls.push(name) };
  const outputDir = join(await scratchFolder(onTestFinished), "run");
  const { totalSteps, data, memory, firstBatch } = await trainer(outputDir, {}, [], fake).dryRun();
  // The recipe does not show its rows.
  expect(firstBatch).toBeNull();
  expect([totalSteps, data.kept]).toEqual([6, 14]);
  expect(memory?.pass.longest).toBe(data.tokens.max);
  const short = trainer(outputDir, { maxLength: 3 }, [], fake);
  await expect(short.dryRun()).rejects.toThrow(DataError);
  await expect(short.train()).rejects.toThrow(DataError);
  expect(() => trainer(outputDir, { targetEntropi: 1 })).toThrow(OptionError);
  expect(calls).toEqual([]);
});
