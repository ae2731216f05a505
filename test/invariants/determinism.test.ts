import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { smallModel, temporaryFolder, trainOnce } from "../support/runs.ts";

describe("determinism", () => {
  const model = smallModel("llama");

  test("1, 2 and 4 threads give the same adapter to the bit", async () => {
    const [one, two, four] = [
      await trainOnce(model, { maxSteps: 8 }, { threads: 1 }),
      await trainOnce(model, { maxSteps: 8 }, { threads: 2 }),
      await trainOnce(model, { maxSteps: 8 }, { threads: 4 }),
    ];
    expect(two.result.lossHash).toBe(one.result.lossHash);
    expect(four.result.lossHash).toBe(one.result.lossHash);
    expect(two.adapter.equals(one.adapter)).toBe(true);
    expect(four.adapter.equals(one.adapter)).toBe(true);
  });

  test("gradient checkpointing gives the same adapter to the bit", async () => {
    const kept = await trainOnce(model, { maxSteps: 4 });
    const recomputed = await trainOnce(model, { maxSteps: 4, gradientCheckpointing: true });
    expect(recomputed.adapter.equals(kept.adapter)).toBe(true);
  });

  test("another seed gives another adapter", async () => {
    const [a, b] = [await trainOnce(model, { maxSteps: 2, seed: 1 }), await trainOnce(model, { maxSteps: 2, seed: 2 })];
    expect(a.adapter.equals(b.adapter)).toBe(false);
  });

  test.each(["sequential", "random", "staged"] as const)(
    "10 steps, resume, 10 steps equal 20 steps to the byte (%s)",
    async (trainSamplingStrategy) => {
      const args = {
        perDeviceTrainBatchSize: 3,
        gradientAccumulationSteps: 2,
        maxSteps: 20,
        saveSteps: 10,
        trainSamplingStrategy,
        simpleMaxLength: 40,
      };
      const straight = await trainOnce(model, { ...args, outputDir: join(temporaryFolder(), "run") });
      const outputDir = join(temporaryFolder(), "run");
      await stopAfter(10, outputDir, args);
      const resumed = await trainOnce(model, { ...args, outputDir }, { resume: true });
      expect(resumed.adapter.equals(straight.adapter)).toBe(true);
      expect(resumed.result.lossHash).toBe(straight.result.lossHash);
      const lines = (dir: string) => readFileSync(join(dir, "metrics.jsonl"), "utf8");
      expect(lines(outputDir)).toBe(lines(straight.result.runDir));
    },
  );
});

/** The first part of a run that is interrupted at a step: it saves and rejects. */
async function stopAfter(step: number, outputDir: string, args: Record<string, unknown>): Promise<void> {
  const { loadModel } = await import("@tunesmith/native");
  const { SFTTrainer } = await import("@tunesmith/trainer");
  const { conversations } = await import("../support/rows.ts");
  const language = await loadModel(smallModel("llama"));
  const options = { learningRate: 5e-3, ...args, outputDir };
  const trainer = new SFTTrainer({
    model: language,
    trainDataset: conversations(24) as never,
    args: options,
    peftConfig: { r: 4 },
  });
  const controller = new AbortController();
  const run = trainer.train({ signal: controller.signal });
  const outcome = (async () => {
    for await (const event of run) if (event.type === "step" && event.step === step) controller.abort();
  })();
  await expect(Promise.all([outcome, run])).rejects.toMatchObject({ code: "ABORTED" });
}
