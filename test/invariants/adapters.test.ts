// Invariants of runs whose adapter drops, and of learning rates by group.
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { smallModel, temporaryFolder, trainOnce } from "../support/runs.ts";
import { tensorError } from "../support/safetensors.ts";

describe.each([
  ["LoRA", {}],
  ["DoRA", { useDora: true }],
])("dropout of a %s", (_, kind) => {
  const model = smallModel("llama");
  const peftConfig = { r: 4, loraDropout: 0.2, ...kind };
  const train = (args: Record<string, unknown>, resume: boolean | string = false) =>
    trainOnce(model, args, { peftConfig, resume });

  test("one micro-batch of 8 equals eight micro-batches of 1", async () => {
    const wide = await train({ maxSteps: 6, perDeviceTrainBatchSize: 8, gradientAccumulationSteps: 1 });
    const deep = await train({ maxSteps: 6, perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 8 });
    for (const [index, { loss, gradNorm }] of wide.logs.entries()) {
      expect(Math.abs((deep.logs[index]?.loss ?? Number.NaN) / loss - 1)).toBeLessThan(3e-6);
      expect(Math.abs((deep.logs[index]?.gradNorm ?? Number.NaN) / gradNorm - 1)).toBeLessThan(3e-5);
    }
    expect(tensorError(deep.tensors, wide.tensors)).toBeLessThan(1e-3);
  });

  test("how rows are packed into passes changes no bit of the first loss", async () => {
    const runs = [];
    for (const tokenBudget of [1, 60, 100_000]) runs.push(await train({ maxSteps: 2, tokenBudget }));
    const [first] = runs.map(({ logs }) => logs[0]);
    for (const { logs } of runs) {
      expect(logs[0]?.loss).toBe(first?.loss);
      expect(Math.abs((logs[0]?.gradNorm ?? Number.NaN) / (first?.gradNorm ?? 0) - 1)).toBeLessThan(3e-6);
    }
    const without = await trainOnce(model, { maxSteps: 2 }, { peftConfig: { ...peftConfig, loraDropout: 0 } });
    expect(without.logs[1]?.loss).not.toBe(runs[0]?.logs[1]?.loss);
  });

  test("recomputation gives the same adapter to the bit", async () => {
    const kept = await train({ maxSteps: 4 });
    const recomputed = await train({ maxSteps: 4, gradientCheckpointing: true });
    expect(recomputed.adapter.equals(kept.adapter)).toBe(true);
  });

  test("a resumed run equals one that was never interrupted, to the byte", async () => {
    const outputDir = join(temporaryFolder(), "run");
    const straight = await train({ maxSteps: 8, saveSteps: 4, outputDir });
    const resumed = await train({ maxSteps: 8, saveSteps: 4 }, join(outputDir, "checkpoint-4"));
    expect(resumed.adapter.equals(straight.adapter)).toBe(true);
    expect(resumed.result.lossHash).toBe(straight.result.lossHash);
  });
});

describe("learning rates by group", () => {
  const model = smallModel("llama");
  const peftConfig = { r: 4, targetModules: ["q_proj"], modulesToSave: ["embed_tokens"] };
  /** Both first values: the second step has moved everything that learns. */
  const start = async (args: Record<string, unknown>) => trainOnce(model, { maxSteps: 2, ...args }, { peftConfig });
  const only = (tensors: Map<string, Float32Array>, part: string) =>
    new Map([...tensors].filter(([name]) => name.includes(part)));

  test("an embedding learning rate of 0 leaves the embedding where it was, and nothing else", async () => {
    const still = await start({ embeddingLearningRate: 0 });
    const moved = await start({});
    const frozen = await start({ embeddingLearningRate: 0, maxSteps: 1, learningRate: 0 });
    const embedding = "embed_tokens";
    expect(tensorError(only(still.tensors, embedding), only(frozen.tensors, embedding))).toBe(0);
    expect(tensorError(only(moved.tensors, embedding), only(frozen.tensors, embedding))).toBeGreaterThan(0);
    expect(tensorError(only(still.tensors, "lora_B"), only(frozen.tensors, "lora_B"))).toBeGreaterThan(0);
  });

  test("LoRA+ moves B further by its ratio in the first step, and A as before", async () => {
    const first = { maxSteps: 1, lrSchedulerType: "constant" };
    const plain = await start(first);
    const faster = await start({ ...first, loraplusLrRatio: 4 });
    for (const [name, before] of only(plain.tensors, "lora_B")) {
      const after = faster.tensors.get(name) ?? new Float32Array();
      const largest = Math.max(...before.map(Math.abs));
      expect(largest).toBeGreaterThan(0);
      for (const [place, value] of before.entries()) {
        expect(Math.abs((after[place] ?? Number.NaN) - 4 * value)).toBeLessThan(1e-5 * largest);
      }
    }
    expect(tensorError(only(faster.tensors, "lora_A"), only(plain.tensors, "lora_A"))).toBe(0);
  });
});
