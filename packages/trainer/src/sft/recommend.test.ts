import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { SFTConfig } from "@tunesmith/core";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { fakeModel } from "../testing/fake-session.ts";
import { conversations } from "../testing/scratch.ts";
import { trainer } from "../testing/sft-trainer.ts";
import { adviseTraining, recommendTraining } from "./recommend.ts";

const tokens = { min: 5, median: 40, p95: 120, max: 150, total: 1 };
const info = { maxPositionEmbeddings: 2048, weightBytes: 1e9 };
const advise = (kept: number, more: object = {}, model: object = {}, fullFinetuning = false) =>
  adviseTraining({ kept, tokens, truncated: 0, ...more }, { ...info, ...model }, { fullFinetuning });

test("epochs follow the table of sample efficiency, and each choice has its reason", () => {
  expect([50, 999, 1_000, 9_999, 10_000, 100_000].map((rows) => advise(rows).numTrainEpochs)).toEqual([
    3, 3, 2, 2, 1, 1,
  ]);
  const advice = advise(500);
  expect(advice).toMatchObject({
    maxLength: 192,
    perDeviceTrainBatchSize: 8,
    gradientAccumulationSteps: 1,
    learningRate: 2e-4,
  });
  expect(advice.reasons).toEqual([
    "3 epochs: 500 rows usually take 3 to 5, for format learning and style adaptation",
    "maxLength 192: the longest row has 150 tokens, 95 % have at most 120; the model reads 2048",
    "batch 8 × 1: 188 steps in all",
    "rate 0.0002: usual for adapters (Unsloth, QLoRA paper)",
  ]);
});

test("lengths, model and what is trained decide the rest", () => {
  expect(advise(10_000)).toMatchObject({ perDeviceTrainBatchSize: 8, gradientAccumulationSteps: 4 });
  expect(advise(20).perDeviceTrainBatchSize).toBe(2);
  expect(advise(500, { tokens: { ...tokens, p95: 100, max: 9_000 } }).maxLength).toBe(448);
  expect(advise(500, { tokens: { ...tokens, p95: 3_000, max: 3_000 } })).toMatchObject({
    maxLength: 2048,
    perDeviceTrainBatchSize: 2,
    gradientAccumulationSteps: 4,
  });
  expect(advise(500, { truncated: 3, tokens: { ...tokens, max: 1024 } }).maxLength).toBe(2048);
  expect(advise(500, {}, { weightBytes: 130e9 }).learningRate).toBe(1e-4);
  expect(advise(500, {}, {}, true).learningRate).toBe(2e-5);
});

test("what is set counts for the rest", () => {
  const beside = (set: SFTConfig, kept = 10_000) =>
    adviseTraining({ kept, tokens: { ...tokens, total: 50 * kept }, truncated: 0 }, info, {
      fullFinetuning: false,
      set,
    });
  expect(beside({ perDeviceTrainBatchSize: 1 }).gradientAccumulationSteps).toBe(32);
  expect(beside({ perDeviceTrainBatchSize: 64 }).gradientAccumulationSteps).toBe(1);
  expect(beside({ gradientAccumulationSteps: 16 }).perDeviceTrainBatchSize).toBe(2);
  expect(beside({ gradientAccumulationSteps: 64 }).perDeviceTrainBatchSize).toBe(1);
  expect(beside({ maxLength: 2048 })).toMatchObject({ perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 16 });
  expect(beside({ maxTokensPerBatch: 800 }).gradientAccumulationSteps).toBe(2);
  // 3 passes over 49 packed rows.
  expect(beside({ packing: true, maxLength: 1024 }, 999)).toMatchObject({
    perDeviceTrainBatchSize: 2,
    gradientAccumulationSteps: 1,
  });
  expect(beside({ numTrainEpochs: 1 }, 500)).toMatchObject({ numTrainEpochs: 1, perDeviceTrainBatchSize: 4 });
});

test("auto sets no rows of a batch that tokens limit", async () => {
  const unset = { perDeviceTrainBatchSize: undefined, gradientAccumulationSteps: undefined };
  const { trainer: made } = await trainer({ ...unset, auto: true, maxTokensPerBatch: 64 });
  const { args, warnings } = await made.dryRun();
  expect(args.perDeviceTrainBatchSize).toBe(8);
  expect(warnings.filter((text) => text.includes("perDeviceTrainBatchSize"))).toEqual([]);
});

test("a data set is read as a run would read it", async () => {
  const advice = await recommendTraining(conversations(20), fakeModel());
  expect(advice).toMatchObject({ numTrainEpochs: 3, maxLength: 128, perDeviceTrainBatchSize: 2 });
  await expect(recommendTraining([], fakeModel())).rejects.toThrow("expected at least one row");
});

test("auto takes what is not set, and the run's configuration says what that was", async () => {
  const unset = {
    maxLength: undefined,
    numTrainEpochs: undefined,
    perDeviceTrainBatchSize: undefined,
    gradientAccumulationSteps: undefined,
  };
  const { trainer: made, outputDir } = await trainer({ ...unset, auto: true, max_seq_length: 300, numTrainEpochs: 1 });
  expect((await made.dryRun()).args).toMatchObject({
    maxLength: 300,
    numTrainEpochs: 1,
    perDeviceTrainBatchSize: 2,
    gradientAccumulationSteps: 1,
    learningRate: 2e-4,
  });
  await made.train();
  const written = parse(await readFile(join(outputDir, "config.resolved.yaml"), "utf8"));
  expect(written).toMatchObject({ auto: true, maxLength: 300, perDeviceTrainBatchSize: 2 });
  const again = await trainer({ ...unset, auto: true, max_seq_length: 300, numTrainEpochs: 1, outputDir });
  const result = await again.trainer.train({ resumeFromCheckpoint: true });
  expect(result.globalStep).toBe(10);
  const { trainer: plain } = await trainer({ ...unset });
  expect((await plain.dryRun()).args).toMatchObject({ maxLength: 512, perDeviceTrainBatchSize: 8 });
  await expect(trainer({ ...unset, auto: true, streaming: true, maxSteps: 2 })).rejects.toThrow(
    "[auto] expected false with streaming",
  );
});
