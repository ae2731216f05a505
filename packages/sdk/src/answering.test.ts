import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FastLanguageModel } from "./fast-language-model.ts";
import { SFTTrainer } from "./sft-trainer.ts";

const tinyModel = resolve(import.meta.dirname, "../../../test/fixtures/models/llama");
const otherAdapter = resolve(import.meta.dirname, "../../../test/fixtures/goldens/llama/lora/adapter_end");
const rows = Array.from({ length: 8 }, () => ({
  messages: [
    { role: "user", content: "What is the word?" },
    { role: "assistant", content: "heron heron" },
  ],
}));

const say = async (model: FastLanguageModel) => {
  let text = "";
  for await (const piece of model.generate("What is the word?", { maxNewTokens: 10 })) text += piece;
  return text;
};

/** Trains a model to say "heron heron", and gives it with the folder of the run. */
async function train(model: FastLanguageModel, learningRate: number) {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-sdk-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  onTestFinished(() => model.dispose());
  const args = { outputDir: join(folder, "run"), maxSteps: 40, learningRate, saveStrategy: "no" } as const;
  return new SFTTrainer({ model, trainDataset: rows, args }).train();
}

test("after train() the model answers as the adapter that it saves, and keeps adapters loaded by name", {
  timeout: 60_000,
}, async () => {
  const model = (await FastLanguageModel.fromPretrained(tinyModel, { device: "cpu" })).getPeftModel({ r: 8 });
  const before = await say(model);
  await model.loadAdapter(otherAdapter, "other");
  const { adapterDir } = await train(model, 0.02);
  const after = await say(model);
  expect(after).toMatch(/^heron heron/u);
  const reopened = await FastLanguageModel.fromPretrained(tinyModel, { device: "cpu", adapter: adapterDir });
  expect(after).toBe(await say(reopened));
  await reopened.dispose();
  expect(await model.adapters()).toEqual({ names: ["other", "default"], active: "default" });
  await model.disableAdapter();
  expect(await say(model)).toBe(before);
  // A second run takes the place of the first.
  await train(model, 1e-9);
  expect(await say(model)).toBe(before);
  expect(await model.adapters()).toEqual({ names: ["other", "default"], active: "default" });
});

test("after full fine-tuning the model answers as the model that it saves", { timeout: 60_000 }, async () => {
  const base = await FastLanguageModel.fromPretrained(tinyModel, { device: "cpu" });
  const model = base.getPeftModel({ fullFinetuning: true });
  await say(model);
  const { adapterDir } = await train(model, 0.01);
  const after = await say(model);
  expect(after).toMatch(/^heron heron/u);
  expect(after).toBe(await say(await FastLanguageModel.fromPretrained(adapterDir, { device: "cpu" })));
  await model.dispose();
  expect(await say(model)).toBe(after);
});

test("dispose waits for the answers that are being written", async () => {
  const model = await FastLanguageModel.fromPretrained(tinyModel, { device: "cpu" });
  const alone = await say(model);
  const answer = model.generate("What is the word?", { maxNewTokens: 10 });
  let text = (await answer.next()).value ?? "";
  const disposed = model.dispose();
  for await (const piece of answer) text += piece;
  expect(text).toBe(alone);
  await disposed;
  // What is asked for while it is being loaded is answered too.
  const [first] = await Promise.all([say(model), new Promise(setImmediate).then(() => model.dispose())]);
  expect(first).toBe(alone);
  expect(await say(model)).toBe(alone);
  await model.dispose();
});
