import type { LanguageModel, MemoryPlan } from "@tunesmith/core";
import { expect, test } from "vitest";
import { fakeModel } from "../testing/fake-session.ts";
import { gib, plan } from "../testing/memory-plan.ts";
import { estimateFit } from "./estimate-fit.ts";

/** A model whose plan grows with the tokens of a pass: 4 GiB, and per token a MiB, of which recomputing layers saves three quarters. */
function growing(changes: Partial<MemoryPlan> = {}): LanguageModel {
  const estimateMemory: LanguageModel["estimateMemory"] = async ({ gradientCheckpointing }, { tokens }) => {
    const peak = 4 * gib + tokens * 2 ** (gradientCheckpointing ? 18 : 20);
    return { ...plan, peak, loading: 0, ...changes };
  };
  return { ...fakeModel(), estimateMemory };
}

const args = { maxLength: 256, tokenBudget: 1024, perDeviceTrainBatchSize: 8, gradientCheckpointing: false };

test("tells the largest batch in one pass that fits here, and whether the run itself does", async () => {
  // A row takes 256 MiB; the host keeps 16 MiB for what is not planned.
  const here = async (free: number, given = {}) => {
    const { fits, largestBatch } = await estimateFit(growing(), { args: { ...args, ...given } }, free);
    return [fits, largestBatch?.perDeviceTrainBatchSize ?? null, largestBatch?.tokenBudget ?? null];
  };
  const overhead = 16 * 2 ** 20;
  expect(await here(6 * gib + overhead)).toEqual([true, 8, 2048]);
  expect(await here(6 * gib)).toEqual([true, 7, 1792]);
  // Rows fit by themselves, but not as many in a pass as the options ask for.
  expect(await here(4.5 * gib + overhead)).toEqual([false, 2, 512]);
  expect(await here(4 * gib)).toEqual([false, null, null]);
  expect(await here(6 * gib + overhead, { gradientCheckpointing: "auto" })).toEqual([true, 32, 8192]);
  expect(await here(2 ** 50)).toEqual([true, 256, 256 * 256]);
});

test("tells which GPUs a run fits, with what is left free there", async () => {
  const { layout, gpus } = await estimateFit(growing(), { args }, 0);
  expect(layout).toBe("cpu");
  expect(gpus.map(({ gigabytes }) => gigabytes)).toEqual([8, 12, 16, 24, 32, 40, 48, 80, 96, 141, 180]);
  const [small] = gpus;
  expect(small).toMatchObject({ usable: 7.6e9 - 256 * 2 ** 20, fits: true });
  const large = await estimateFit(growing({ loading: 20e9, device: "cuda", free: gib }), { args });
  expect(large).toMatchObject({ layout: "cuda", fits: false, largestBatch: null });
  expect(large.gpus.map(({ fits }) => fits)).toEqual([false, false, false, ...Array(8).fill(true)]);
});

test("refuses keys that there are not", async () => {
  await expect(estimateFit(fakeModel(), { arg: {} } as object)).rejects.toThrow("estimateFit");
});
