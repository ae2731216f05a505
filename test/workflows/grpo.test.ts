// GRPO on a real model: a toy task is learnt, a run goes on in the middle of a generation, and what is all masked changes nothing.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GRPOMetrics, GRPOTrainer, type GRPOTrainerOptions, type LogEvent, loadModel } from "@tunesmith/sdk";
import { expect, onTestFinished, test } from "vitest";

const folder = join(import.meta.dirname, "../fixtures/models/llama");

/** Share of the tokens whose ids are low: one in four of those of the untrained model. */
const lowIds = ({ completionIds }: { completionIds: readonly Int32Array[] }) =>
  completionIds.map((ids) => ids.filter((id) => id < 128).length / ids.length);

async function trainer(args: object, more: Partial<GRPOTrainerOptions> = {}) {
  const outputDir = mkdtempSync(join(tmpdir(), "tunesmith-grpo-"));
  onTestFinished(() => rmSync(outputDir, { recursive: true, force: true }));
  const made = new GRPOTrainer({
    model: await loadModel(folder, { device: "cpu" }),
    rewardFuncs: lowIds,
    trainDataset: ["One", "Two", "Three", "Four"].map((prompt) => ({ prompt })),
    args: {
      ...{ outputDir, perDeviceTrainBatchSize: 8, gradientAccumulationSteps: 2, numGenerations: 8 },
      ...{ maxCompletionLength: 6, learningRate: 1e-2, warmupSteps: 0, lrSchedulerType: "constant" },
      ...{ saveStrategy: "no", ...args },
    },
    ...more,
  } as GRPOTrainerOptions);
  return { trainer: made, outputDir };
}

async function logsOf(made: GRPOTrainer): Promise<LogEvent<GRPOMetrics>[]> {
  const logs: LogEvent<GRPOMetrics>[] = [];
  for await (const event of made.train()) if (event.type === "log") logs.push(event);
  return logs;
}

test("a toy task is learnt: the mean reward passes 0.9", async () => {
  const { trainer: made } = await trainer({ maxSteps: 100 });
  const rewards = (await logsOf(made)).map(({ reward }) => reward ?? Number.NaN);
  expect(rewards[0]).toBeLessThan(0.5);
  const last = rewards.slice(-10);
  expect(last.reduce((a, b) => a + b, 0) / last.length).toBeGreaterThan(0.9);
});

test("a run goes on in the middle of a generation, to the bit", async () => {
  const args = {
    ...{ numIterations: 2, stepsPerGeneration: 4, beta: 0.05, temperature: 0.8, maxSteps: 8 },
    ...{ saveStrategy: "steps", saveSteps: 1, entropyCoef: 0.01, importanceSamplingLevel: "sequence" },
  };
  const { trainer: whole, outputDir } = await trainer(args);
  const { lossHash, adapterDir } = await whole.train();
  const bytes = () => readFileSync(join(adapterDir, "adapter_model.safetensors"));
  const before = bytes();
  for (const step of [1, 3, 6]) {
    const { trainer: again } = await trainer({ ...args, outputDir });
    const resumed = await again.train({ resumeFromCheckpoint: join(outputDir, `checkpoint-${step}`) });
    expect(resumed.lossHash).toBe(lossHash);
    expect(bytes().equals(before)).toBe(true);
  }
});

test("while the model is the one that sampled, ratios are 1: nothing is clipped and the divergence is 0", async () => {
  const { trainer: made } = await trainer({
    maxSteps: 3,
    numIterations: 2,
    beta: 0.1,
    epsilon: 1e-6,
    lossType: "grpo",
  });
  const [first, second, third] = await logsOf(made);
  expect(first).toMatchObject({ kl: 0, "clip_ratio/region_mean": 0 });
  expect(Math.abs(first?.loss ?? 1)).toBeLessThan(1e-6);
  expect(first?.gradNorm).toBeGreaterThan(0);
  expect(second?.["clip_ratio/region_mean"]).toBeGreaterThan(0.3);
  expect(third?.["clip_ratio/region_mean"]).toBe(0);
  expect(third?.kl).toBeGreaterThan(0);
});

test("where everything is cut and masked no weight is moved by a gradient", async () => {
  const args = { maxSteps: 2, maxCompletionLength: 1, maskTruncatedCompletions: true, beta: 0.1 };
  const { trainer: made } = await trainer(args, { rewardFuncs: ({ completions }) => completions.map((_, n) => n) });
  const logs = await logsOf(made);
  for (const { loss, gradNorm } of logs) expect([loss, gradNorm]).toEqual([0, 0]);
});

test("all weights are trained against a frozen copy of the model", async () => {
  const { trainer: made } = await trainer(
    { maxSteps: 3, beta: 0.1, learningRate: 1e-3 },
    { peftConfig: { fullFinetuning: true } },
  );
  const logs = await logsOf(made);
  expect(logs[0]?.kl).toBe(0);
  expect(logs[2]?.kl).toBeGreaterThan(0);
});
