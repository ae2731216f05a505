import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { digestFile } from "@tunesmith/core";
import { expect, test } from "vitest";
import { ofType, record } from "../testing/record.ts";
import { trainer } from "../testing/sft-trainer.ts";

test("early stopping fires at the exact evaluation, and the best weights are kept", async () => {
  const evalLosses = [5, 4, 4.5, 4.2, 4.1, 1];
  const args = {
    maxSteps: 20,
    evalSteps: 2,
    earlyStoppingPatience: 3,
    loadBestModelAtEnd: true,
    saveStrategy: "no",
    tokenBudget: 100_000,
  };
  const { trainer: made, outputDir } = await trainer(args, { evalLosses });
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  expect(ofType(events, "eval").map(({ step, best }) => [step, best])).toEqual([
    [2, true],
    [4, true],
    [6, false],
    [8, false],
    [10, false],
  ]);
  const result = ofType(events, "done")[0]?.result;
  expect(result).toMatchObject({ stoppedBy: "early_stopping", globalStep: 10, evalAfter: { evalLoss: 4 } });
  const bytes = (folder: string) => digestFile(join(outputDir, folder, "adapter_model.safetensors"));
  expect(await bytes("adapter")).toEqual(await bytes("checkpoint-4"));
});

test("the newest checkpoints are kept, and the best one in addition", async () => {
  const evalLosses = [3, 1, 2, 2, 2, 2];
  const args = {
    maxSteps: 6,
    evalSteps: 1,
    saveSteps: 1,
    saveTotalLimit: 2,
    loadBestModelAtEnd: true,
    tokenBudget: 100_000,
  };
  const { trainer: made, outputDir } = await trainer(args, { evalLosses });
  await made.train();
  expect(await checkpoints(outputDir)).toEqual(["checkpoint-2", "checkpoint-5", "checkpoint-6"]);
});

test("the best is kept in addition to the limit whether the run ends with it or not", async () => {
  const evalLosses = [3, 1, 2, 2, 2, 2];
  const args = { maxSteps: 6, evalSteps: 1, saveSteps: 1, saveTotalLimit: 1, tokenBudget: 100_000 };
  for (const more of [{}, { earlyStoppingPatience: 4 }, { loadBestModelAtEnd: true }]) {
    const { trainer: made, outputDir } = await trainer({ ...args, ...more }, { evalLosses });
    await made.train();
    expect(await checkpoints(outputDir)).toEqual(["checkpoint-2", "checkpoint-6"]);
  }
});

test("of checkpoints that were written only for being the best the last one stays", async () => {
  const evalLosses = [9, 8, 7, 6, 5, 4, 3, 2, 2.5, 2.5, 2.5, 2.5];
  const args = { maxSteps: 12, evalSteps: 1, saveSteps: 5, tokenBudget: 100_000 };
  for (const more of [{ earlyStoppingPatience: 5 }, { loadBestModelAtEnd: true }]) {
    const { trainer: made, outputDir } = await trainer({ ...args, ...more }, { evalLosses });
    await made.train();
    // 5, 10 and 12 are due; 8 is the best.
    expect(await checkpoints(outputDir)).toEqual(["checkpoint-10", "checkpoint-12", "checkpoint-5", "checkpoint-8"]);
  }
  // Where the metric chooses nothing, no checkpoint is written for it.
  const { trainer: made, outputDir } = await trainer(args, { evalLosses });
  await made.train();
  expect(await checkpoints(outputDir)).toEqual(["checkpoint-10", "checkpoint-12", "checkpoint-5"]);
});

async function checkpoints(outputDir: string): Promise<string[]> {
  return (await readdir(outputDir)).filter((name) => name.startsWith("checkpoint")).sort();
}

test("evaluation happens at the ends of epochs by default, and never without a strategy", async () => {
  const steps = async (args: object) => {
    const { trainer: made } = await trainer(args);
    return ofType((await record(made.train())).events, "eval").map(({ step }) => step);
  };
  expect(await steps({})).toEqual([3, 6]);
  expect(await steps({ numTrainEpochs: 1.5 })).toEqual([3, 5]);
  expect(await steps({ evalStrategy: "no" })).toEqual([]);
  expect(await steps({ evalStrategy: "steps", loggingSteps: 4 })).toEqual([4, 6]);
});

test("checkpoints follow the strategy", async () => {
  const steps = async (args: object) => {
    const { trainer: made } = await trainer(args);
    return ofType((await record(made.train())).events, "checkpoint").map(({ step }) => step);
  };
  expect(await steps({ saveStrategy: "epoch" })).toEqual([3, 6]);
  expect(await steps({ saveStrategy: "end" })).toEqual([6]);
  expect(await steps({ saveStrategy: "no" })).toEqual([]);
  expect(await steps({ saveSteps: 2 })).toEqual([2, 4, 6]);
});
