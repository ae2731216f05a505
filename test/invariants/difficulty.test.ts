// Rows in the order in which the model itself finds them hard, on the engine.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { SFTConfig } from "@tunesmith/core";
import type { SamplerFactory } from "@tunesmith/curriculum";
import { loadModel } from "@tunesmith/native";
import { SFTTrainer, type SFTTrainerOptions } from "@tunesmith/trainer";
import { beforeEach, expect, test, vi } from "vitest";
import { conversations } from "../support/rows.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";

beforeEach(() => {
  vi.stubEnv("HF_DATASETS_CACHE", temporaryFolder());
  return () => vi.unstubAllEnvs();
});

const path = smallModel("llama");
const plain: SFTConfig = {
  ...{ maxSteps: 6, perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 2, saveSteps: 1, learningRate: 5e-2 },
  ...{ trainSamplingStrategy: "staged", stages: [{ order: "easy_first" }], difficulty: "loss", difficultySteps: 2 },
};

/** A run on the engine: the rows' losses step by step, and what it leaves. */
async function runOf(
  args: SFTConfig,
  more: Partial<SFTTrainerOptions> = {},
  resumeFromCheckpoint: string | false = false,
) {
  const outputDir = args.outputDir ?? join(temporaryFolder(), "run");
  const model = await loadModel(path);
  const options = { model, trainDataset: conversations(12), peftConfig: { r: 4 }, ...more };
  const losses: number[] = [];
  const trainer = new SFTTrainer({
    ...options,
    args: { ...plain, ...args, outputDir },
    callbacks: [(event) => void (event.type === "step" && losses.push(event.loss))],
  });
  const result = await trainer.train({ resumeFromCheckpoint });
  const adapter = readFileSync(join(outputDir, "adapter/adapter_model.safetensors"));
  return { losses, result, adapter, outputDir };
}

test.each(["loss", "ifd"] as const)(
  "a run that measures %s again goes on from any step to the byte",
  async (difficulty) => {
    const whole = await runOf({ difficulty });
    expect(whole.result.difficulty).toMatchObject({ difficulty, rows: 12, measured: 3, fromCache: 0 });
    for (const step of [1, 2, 3, 4, 5]) {
      const from = join(whole.outputDir, `checkpoint-${step}`);
      const rest = await runOf({ difficulty, outputDir: whole.outputDir, saveStrategy: "no" }, {}, from);
      expect(rest.losses).toEqual(whole.losses.slice(step));
      expect(rest.adapter.equals(whole.adapter)).toBe(true);
    }
    const once = await runOf({ difficulty, difficultySteps: null, saveStrategy: "no" });
    expect(once.result.difficulty).toMatchObject({ measured: 1, fromCache: 1 });
    expect(once.losses.slice(0, 2)).toEqual(whole.losses.slice(0, 2));
    expect(once.losses).not.toEqual(whole.losses);
  },
);

test("rows come from the lowest loss to the highest", async () => {
  const one = { gradientAccumulationSteps: 1, maxSteps: 12, learningRate: 0, saveStrategy: "no" } as const;
  const { losses } = await runOf(one);
  expect(losses).toEqual([...losses].sort((a, b) => a - b));
  expect(new Set(losses).size).toBeGreaterThan(6);
  expect((await runOf({ ...one, difficulty: "length" })).losses).not.toEqual(losses);
});

test("asking the model changes nothing of what it learns", async () => {
  const order = (measures?: "ifd"): SamplerFactory => {
    return ({ lengths }) => ({ measures, size: () => lengths.length, epoch: () => [...Array(lengths.length).keys()] });
  };
  const args = { trainSamplingStrategy: "random", stages: null, difficulty: "length", saveStrategy: "no" } as const;
  const silent = await runOf({ ...args, difficultySteps: null }, { sampler: order() });
  const asked = await runOf({ ...args, difficultySteps: 1 }, { sampler: order("ifd") });
  expect([silent.result.difficulty, asked.result.difficulty?.measured]).toEqual([null, 6]);
  expect(asked.losses).toEqual(silent.losses);
  expect(asked.adapter.equals(silent.adapter)).toBe(true);
});
