import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { TextStream } from "@tunesmith/core";
import { readRunConfig } from "@tunesmith/trainer";
import { expect, onTestFinished, test } from "vitest";
import { FastLanguageModel } from "./fast-language-model.ts";
import { SFTTrainer } from "./sft-trainer.ts";
import { echoModel, type Watched } from "./testing/echo-model.ts";

const rows = Array.from({ length: 8 }, (_, i) => ({
  messages: [
    { role: "user", content: `row ${i}` },
    { role: "assistant", content: "ok" },
  ],
}));

const pieces = async (texts: AsyncIterable<string>) => {
  const found: string[] = [];
  for await (const text of texts) found.push(text);
  return found;
};

test("gives the adapter of getPeftModel to the trainer", async () => {
  const outputDir = await mkdtemp(join(tmpdir(), "tunesmith-sdk-"));
  onTestFinished(() => rm(outputDir, { recursive: true }));
  const watched: Watched = { generators: [], sessions: [], disposed: 0 };
  const adapter = { r: 4, loraAlpha: 8, targetModules: ["q_proj"], useRslora: true };
  const model = new FastLanguageModel(echoModel(watched)).getPeftModel(adapter);
  await new SFTTrainer({ model, trainDataset: rows, args: { outputDir, maxSteps: 1, saveStrategy: "no" } }).train();
  expect(watched.sessions.map((session) => session.adapter)).toMatchObject([adapter]);
});

test("switches adapters of the session that answers", async () => {
  const model = new FastLanguageModel(echoModel());
  await model.loadAdapter("some/folder", "a");
  await model.loadAdapter("another", "b");
  expect(await model.setAdapter("a")).toEqual({ names: ["a", "b"], active: "a" });
  expect(await model.disableAdapter()).toEqual({ names: ["a", "b"], active: null });
  expect(await model.enableAdapter()).toEqual({ names: ["a", "b"], active: "a" });
  expect(await model.deleteAdapter("a")).toEqual({ names: ["b"], active: null });
  expect(await model.adapters()).toEqual({ names: ["b"], active: null });
});

test("refuses adapter options given twice", () => {
  const model = new FastLanguageModel(echoModel()).getPeftModel({ r: 4 });
  expect(() => new SFTTrainer({ model, trainDataset: rows, peftConfig: { r: 8 } })).toThrow(
    expect.objectContaining({ name: "OptionError" }),
  );
});

test("streams the answer to a string or to messages, with one generator for all calls", async () => {
  const watched: Watched = { generators: [], sessions: [], disposed: 0 };
  const model = new FastLanguageModel(echoModel(watched), "an/adapter");
  expect(await pieces(model.generate("né→"))).toEqual(["n", "é", "→"]);
  const messages = [
    { role: "user", content: "ab" },
    { role: "assistant", content: "c" },
  ];
  expect((await pieces(model.generate(messages, { maxNewTokens: 2 }))).join("")).toBe("ab");
  expect(watched.generators).toEqual([{ adapter: { type: "saved", path: "an/adapter" } }]);
  await model.dispose();
  expect(watched.disposed).toBe(1);
});

test("takes a string as plain text and refuses messages where the model has no chat template", async () => {
  const model = new FastLanguageModel(echoModel(undefined, null));
  expect((await pieces(model.generate("text"))).join("")).toBe("text");
  await expect(pieces(model.generate([{ role: "user", content: "x" }]))).rejects.toMatchObject({
    name: "ArgumentError",
  });
  await expect(pieces(model.generate(""))).rejects.toMatchObject({ name: "ArgumentError" });
});

test("what the model's files lack is told once, when the weights are loaded to answer", async () => {
  const watched: Watched = { generators: [], sessions: [], disposed: 0, modelWarnings: ["an unused tensor"] };
  const told: string[] = [];
  const model = new FastLanguageModel(echoModel(watched), null, (message) => told.push(message));
  expect(told).toEqual([]);
  for (const prompt of ["one", "two"]) await pieces(model.generate(prompt));
  expect(told).toEqual(["an unused tensor"]);
});

test("stops on request", async () => {
  const model = new FastLanguageModel(echoModel());
  await expect(pieces(model.generate("x", { signal: AbortSignal.abort() }))).rejects.toThrow();
});

test("holds a character back until all its tokens are there", () => {
  const stream = new TextStream(echoModel().tokenizer);
  const ids = [...new TextEncoder().encode("aé→b")];
  expect(ids.map((id) => stream.push(id))).toEqual(["a", "", "é", "", "", "→", "b"]);
  expect(stream.push(0xc3)).toBe("");
  expect(stream.end()).toBe("\ufffd");
});

const tinyModel = resolve(import.meta.dirname, "../../../test/fixtures/models/llama");

test("holds the layers in four bits, keeps them in the model cache, and trains and resumes so", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-sdk-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const [cacheDir, outputDir] = [join(folder, "hub"), join(folder, "run")];
  const open = () => FastLanguageModel.fromPretrained(tinyModel, { cacheDir, loadIn4bit: true, threads: 1 });
  const train = async (maxSteps: number, resumeFromCheckpoint: boolean) => {
    const model = (await open()).getPeftModel({ r: 2 });
    const args = { outputDir, maxSteps, saveSteps: 1, lrSchedulerType: "constant" } as const;
    return new SFTTrainer({ model, trainDataset: rows, args }).train({ resumeFromCheckpoint });
  };
  await train(1, false);
  expect(await readdir(join(cacheDir, "tunesmith-nf4"))).not.toEqual([]);
  expect((await readRunConfig(outputDir)).modelConfig).toMatchObject({ loadIn4bit: true, bnb4bitUseDoubleQuant: true });
  await train(2, true);
  const wide = (await FastLanguageModel.fromPretrained(tinyModel)).getPeftModel({ r: 2 });
  const again = new SFTTrainer({
    model: wide,
    trainDataset: rows,
    args: { outputDir, maxSteps: 3, saveSteps: 1, lrSchedulerType: "constant" },
  });
  await expect(again.train({ resumeFromCheckpoint: true })).rejects.toThrow(/loadIn4bit/u);
});

test("refuses options of the weights that are not known", async () => {
  const open = (options: object) => FastLanguageModel.fromPretrained(tinyModel, options);
  await expect(open({ loadIn4bit: true, bnb4bitQuantType: "fp4" })).rejects.toMatchObject({ name: "OptionError" });
  await expect(open({ bnb4bitBlocksize: 100 })).rejects.toMatchObject({ name: "OptionError" });
});
