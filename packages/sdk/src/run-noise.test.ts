// Runs with noise on their embeddings and with another loss: what is resumed is the run that was never stopped.
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { FastLanguageModel, SFTTrainer } from "./index.ts";

vi.setConfig({ testTimeout: 120_000 });

const tinyModel = resolve(import.meta.dirname, "../../../test/fixtures/models/llama");
const rows = Array.from({ length: 12 }, (_, n) => ({ text: `row ${n} ${"and so on ".repeat(n)}` }));

let folder: string;
let model: FastLanguageModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunesmith-noise-"));
  model = await FastLanguageModel.fromPretrained(tinyModel, { device: "cpu" });
});
afterAll(() => rm(folder, { recursive: true }));

async function train(name: string, args: object, resumeFromCheckpoint = false) {
  const outputDir = join(folder, name);
  const common = { outputDir, maxSteps: 4, saveSteps: 2, perDeviceTrainBatchSize: 3, learningRate: 1e-2 };
  const trainer = new SFTTrainer({
    model: model.getPeftModel({ r: 2 }),
    trainDataset: rows,
    args: { ...common, ...args },
  });
  const { lossHash, trainingLoss } = await trainer.train({ resumeFromCheckpoint });
  const adapter = await readFile(join(outputDir, "adapter", "adapter_model.safetensors"));
  return { lossHash, trainingLoss, adapter: adapter.toString("base64") };
}

test("noise changes what is trained, passes do not change the noise, and a resumed run is the run that was never stopped", async () => {
  const noise = { neftuneNoiseAlpha: 5, lossType: "dft" };
  const [plain, noisy] = [await train("plain", { lossType: "dft" }), await train("noisy", noise)];
  expect(noisy.lossHash).not.toBe(plain.lossHash);
  await cp(join(folder, "noisy"), join(folder, "resumed"), { recursive: true });
  await rm(join(folder, "resumed", "checkpoint-4"), { recursive: true });
  expect(await train("resumed", noise, true)).toEqual(noisy);
  // In passes of a row each: sums of float32 differ in their last bits alone.
  const parted = await train("parted", { ...noise, tokenBudget: 1 });
  expect(parted.trainingLoss / noisy.trainingLoss).toBeCloseTo(1, 5);
  expect(Math.abs(plain.trainingLoss / noisy.trainingLoss - 1)).toBeGreaterThan(1e-4);
});

test("residual dropout changes what is trained, recomputed or not to the same bytes, and a resumed run is the run that was never stopped", async () => {
  const dropping = { residPdrop: 0.3 };
  const [plain, dropped] = [await train("without", {}), await train("dropped", dropping)];
  expect(dropped.lossHash).not.toBe(plain.lossHash);
  expect(await train("recomputed", { ...dropping, gradientCheckpointing: true })).toEqual(dropped);
  expect(await train("none", { residPdrop: 0 })).toEqual(plain);
  await cp(join(folder, "dropped"), join(folder, "continued"), { recursive: true });
  await rm(join(folder, "continued", "checkpoint-4"), { recursive: true });
  expect(await train("continued", dropping, true)).toEqual(dropped);
});
