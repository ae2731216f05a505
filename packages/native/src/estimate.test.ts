import { describe, expect, test } from "vitest";
import { fullSession, loraSession, tinyModel } from "../test/fixture.ts";
import { loadModel } from "./model.ts";

describe("estimateMemory", () => {
  test.each([
    ["an adapter", loraSession, {}],
    ["an adapter on four bits", loraSession, { loadIn4bit: true }],
    ["everything, checkpointing", { ...fullSession, gradientCheckpointing: true }, {}],
  ])("is what the session holds: %s", async (_, wanted, weights) => {
    const model = await loadModel(tinyModel, weights);
    const plan = await model.estimateMemory(wanted, { tokens: 48, longest: 24, supervised: 46 });
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
    const model = await loadModel(tinyModel);
    for (const pass of [
      { tokens: 0, longest: 1, supervised: 1 },
      { tokens: 8, longest: 9, supervised: 8 },
      { tokens: 8, longest: 8, supervised: 9 },
      { tokens: 2 ** 40, longest: 1, supervised: 1 },
      { tokens: 1.5, longest: 1, supervised: 1 },
    ])
      await expect(model.estimateMemory(loraSession, pass)).rejects.toMatchObject({ code: "ARGUMENT_INVALID" });
  });
});
