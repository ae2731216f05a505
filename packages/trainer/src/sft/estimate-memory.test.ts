import { expect, test } from "vitest";
import { fakeModel } from "../testing/fake-session.ts";
import { gib, plan } from "../testing/memory-plan.ts";
import { estimateMemory, memoryShortage } from "./estimate-memory.ts";

test("estimates without rows, as if each were as long as it may be", async () => {
  const pass = async (args: Record<string, unknown>) => (await estimateMemory(fakeModel(), { args })).pass;
  expect(await pass({ maxLength: 100, perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 1 })).toEqual({
    tokens: 200,
    longest: 100,
    supervised: 200,
    objective: { type: "nll", labelSmoothing: 0, zLoss: 0 },
  });
  expect(await pass({ maxLength: 100, perDeviceTrainBatchSize: 64, labelSmoothingFactor: 0.1 })).toEqual({
    tokens: 1024,
    longest: 100,
    supervised: 1024,
    objective: { type: "nll", labelSmoothing: 0.1, zLoss: 0 },
  });
  expect(await pass({ maxLength: 100_000, tokenBudget: 10, lossType: "dft" })).toEqual({
    tokens: 512,
    longest: 512,
    supervised: 512,
    objective: { type: "dft" },
  });
  // Batches by tokens, of which one row may have more.
  const byTokens = { maxLength: 100, maxTokensPerBatch: 150, gradientAccumulationSteps: 2 };
  expect((await pass(byTokens)).tokens).toBe(300);
  expect((await pass({ ...byTokens, maxTokensPerBatch: 50 })).tokens).toBe(200);
  const model = fakeModel({ plan });
  const estimate = { ...(await estimateMemory(model)), free: gib };
  expect(memoryShortage(model, estimate)).toContain("GiB");
  expect(memoryShortage(model, { ...estimate, free: 6 * gib })).toBeNull();
});
