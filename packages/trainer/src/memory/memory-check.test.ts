import { loraConfigSchema, type MemoryPlan, OutOfMemoryError, parseOptions, sftConfigSchema } from "@tunesmith/core";
import { expect, test } from "vitest";
import { sessionOptions } from "../options/session-options.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { checkMemory, decideCheckpointing, estimateMemory, largestPass, memoryShortage } from "./memory-check.ts";

const gib = 2 ** 30;
const plan: MemoryPlan = {
  weights: 3 * gib,
  trained: gib / 4,
  gradients: gib / 4,
  optimizer: gib / 2,
  activations: gib,
  peak: 5 * gib,
  loading: 3.5 * gib,
  totalParameters: 1,
  trainableParameters: 1,
  device: "cpu",
  free: null,
};
const options = (args = {}, peft = {}) =>
  sessionOptions(parseOptions(sftConfigSchema, args), parseOptions(loraConfigSchema, peft));
const check = (memoryCheck: "refuse" | "warn" | "off", free: number, args = {}, peft = {}) =>
  checkMemory(fakeModel({ plan }), options(args, peft), { tokens: 1024, longest: 512 }, memoryCheck, free);

test("lets a run pass that fits, and refuses one that does not with numbers and advice", async () => {
  expect(await check("refuse", 6 * gib)).toBeNull();
  const refused = check("refuse", 4 * gib);
  await expect(refused).rejects.toBeInstanceOf(OutOfMemoryError);
  await expect(refused).rejects.toThrow(
    /^\[memory\] expected 5\.02 GiB of free memory, got 4\.00 GiB \(weights 3\.00 GiB, activations 1\.00 GiB, optimizer 0\.50 GiB.*\); set loadIn4bit, .*gradientCheckpointing.*memoryCheck to "warn"/u,
  );
  await expect(check("refuse", 4 * gib, {}, { fullFinetuning: true })).rejects.toThrow(/train an adapter/u);
  await expect(check("refuse", 4 * gib, { gradientCheckpointing: true })).rejects.not.toThrow(
    /set gradientCheckpointing/u,
  );
});

test("can be told to warn only, or not to look", async () => {
  expect(await check("warn", 4 * gib)).toMatch(/^memory: expected 5\.02 GiB/u);
  expect(await check("warn", 6 * gib)).toBeNull();
  expect(await check("off", 0)).toBeNull();
});

test("compares a session on a GPU with what its driver calls free, not with the host's memory", async () => {
  const onGpu = (free: number) => fakeModel({ plan: { ...plan, device: "cuda", free } });
  const pass = { tokens: 1024, longest: 512 };
  expect(await checkMemory(onGpu(6 * gib), options(), pass, "refuse", 0)).toBeNull();
  await expect(checkMemory(onGpu(5 * gib), options(), pass, "refuse", 64 * gib)).rejects.toThrow(
    /expected 5\.25 GiB of free memory on the cuda device, got 5\.00 GiB \(weights 3\.00 GiB, .*set loadIn4bit/u,
  );
});

test("recomputes layers under auto only where the run would not fit without", async () => {
  const model = fakeModel({ plan, checkpointedPlan: { ...plan, activations: gib / 4, peak: 4.25 * gib } });
  const decide = (gradientCheckpointing: boolean | "auto", free: number) =>
    decideCheckpointing(
      model,
      parseOptions(sftConfigSchema, { gradientCheckpointing }),
      parseOptions(loraConfigSchema, {}),
      { tokens: 1024, longest: 512 },
      free,
    );
  expect(await decide("auto", 6 * gib)).toBe(false);
  expect(await decide("auto", 4.5 * gib)).toBe(true);
  expect([await decide(true, 6 * gib), await decide(false, 0)]).toEqual([true, false]);
});

test("finds the largest pass of the steps to come", () => {
  const examples = [10, 40, 5, 60, 20].map((length, rowId) => {
    const ids = new Int32Array(length);
    return { ids, labels: ids, turns: 1, length, rowId, truncated: false };
  });
  const step = (...microBatches: number[][]) => ({
    step: 1,
    microBatches: microBatches.map((indices) => Int32Array.from(indices)),
    epochDone: 0,
    endsEpoch: false,
  });
  expect(largestPass([step([0, 1], [2]), step([4])], examples, 50)).toEqual({ tokens: 50, longest: 40 });
  expect(largestPass([step([0, 1], [2])], examples, 1000)).toEqual({ tokens: 55, longest: 40 });
  // A sequence longer than the budget is a pass of its own.
  expect(largestPass([step([3, 4])], examples, 30)).toEqual({ tokens: 60, longest: 60 });
});

test("estimates without rows, as if each were as long as it may be", async () => {
  const pass = async (args: Record<string, unknown>) => (await estimateMemory(fakeModel(), { args })).pass;
  expect(await pass({ maxLength: 100, perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 1 })).toEqual({
    tokens: 200,
    longest: 100,
  });
  expect(await pass({ maxLength: 100, perDeviceTrainBatchSize: 64 })).toEqual({ tokens: 1024, longest: 100 });
  expect(await pass({ maxLength: 100_000, tokenBudget: 10 })).toEqual({ tokens: 512, longest: 512 });
  const model = fakeModel({ plan });
  const estimate = { ...(await estimateMemory(model)), free: gib };
  expect(memoryShortage(model, estimate)).toContain("GiB");
  expect(memoryShortage(model, { ...estimate, free: 6 * gib })).toBeNull();
});
