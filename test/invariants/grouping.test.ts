import { describe, expect, test } from "vitest";
import { smallModel, trainOnce } from "../support/runs.ts";
import { tensorError } from "../support/safetensors.ts";

/** Classes of runs that must take one and the same way. Rows are of unequal length, so a mean of means would show. */
describe.each(["llama", "qwen3"])("grouping of rows (%s)", (family) => {
  const model = smallModel(family);

  test("one micro-batch of 8 equals eight micro-batches of 1", async () => {
    const wide = await trainOnce(model, { maxSteps: 6, perDeviceTrainBatchSize: 8, gradientAccumulationSteps: 1 });
    const deep = await trainOnce(model, { maxSteps: 6, perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 8 });
    expect(deep.logs.map(({ numTokens }) => numTokens)).toEqual(wide.logs.map(({ numTokens }) => numTokens));
    for (const [index, { loss, gradNorm }] of wide.logs.entries()) {
      expect(Math.abs((deep.logs[index]?.loss ?? Number.NaN) / loss - 1)).toBeLessThan(3e-6);
      expect(Math.abs((deep.logs[index]?.gradNorm ?? Number.NaN) / gradNorm - 1)).toBeLessThan(3e-5);
    }
    expect(tensorError(deep.tensors, wide.tensors)).toBeLessThan(1e-3);
  });

  test("how rows are packed into passes changes no bit of the first loss", async () => {
    const runs = [];
    for (const tokenBudget of [1, 60, 100_000]) runs.push(await trainOnce(model, { maxSteps: 3, tokenBudget }));
    const [first] = runs.map(({ logs }) => logs[0]);
    for (const { logs } of runs) {
      expect(logs[0]?.loss).toBe(first?.loss);
      expect(logs[0]?.meanTokenAccuracy).toBe(first?.meanTokenAccuracy);
      expect(Math.abs((logs[0]?.gradNorm ?? Number.NaN) / (first?.gradNorm ?? 0) - 1)).toBeLessThan(3e-6);
    }
  });
});
