import { fileURLToPath } from "node:url";
import type { SessionOptions } from "@tunesmith/core";
import { describe, expect, test } from "vitest";
import { loadModel } from "./model.ts";

const folder = fileURLToPath(new URL("../../../test/fixtures/models/llama", import.meta.url));
const options: SessionOptions = {
  adapter: { r: 4, loraAlpha: 8, targetModules: "all-linear", useRslora: false },
  optimizer: { adamBeta1: 0.9, adamBeta2: 0.999, adamEpsilon: 1e-8, weightDecay: 0 },
  gradientCheckpointing: false,
  seed: 1,
};

describe("estimateMemory", () => {
  test.each([
    ["an adapter", options, {}],
    ["an adapter on four bits", options, { loadIn4bit: true }],
    ["everything, checkpointing", { ...options, adapter: null, gradientCheckpointing: true }, {}],
  ])("is what the session holds: %s", async (_, wanted, weights) => {
    const model = await loadModel(folder, weights);
    const plan = await model.estimateMemory(wanted, { tokens: 48, longest: 24 });
    const session = await model.createSession(wanted);
    const ids = Int32Array.from({ length: 48 }, (_, i) => i + 3);
    const batch = {
      inputIds: ids,
      labels: ids,
      positions: ids.map((_, i) => i % 24),
      sequenceStarts: Int32Array.of(0, 24, 48),
      microBatch: Int32Array.of(0, 0),
      rowIds: Int32Array.of(0, 1),
    };
    for (const step of [1, 2]) {
      await session.accumulate(batch, { objective: { type: "nll" }, step, seed: 1 });
      await session.update({ learningRates: Float64Array.of(1e-3, 1e-3, 1e-3, 1e-3), maxGradNorm: 1, denominator: 1 });
    }
    const { peak } = session.memory();
    session.dispose();
    expect(plan.peak).toBe(peak);
    expect(plan.trainableParameters).toBe(session.info.trainableParameters);
    expect(plan.totalParameters).toBe(session.info.totalParameters);
  });

  test("refuses passes that cannot be", async () => {
    const model = await loadModel(folder);
    for (const pass of [
      { tokens: 0, longest: 1 },
      { tokens: 8, longest: 9 },
      { tokens: 2 ** 40, longest: 1 },
      { tokens: 1.5, longest: 1 },
    ])
      await expect(model.estimateMemory(options, pass)).rejects.toMatchObject({ code: "ARGUMENT_INVALID" });
  });
});
