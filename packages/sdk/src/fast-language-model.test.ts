import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { FastLanguageModel } from "./fast-language-model.ts";
import { SFTTrainer } from "./sft-trainer.ts";
import { echoModel, type Watched } from "./testing/echo-model.ts";
import { TextStream } from "./text-stream.ts";

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

it("gives the adapter of getPeftModel to the trainer", async () => {
  const outputDir = await mkdtemp(join(tmpdir(), "tunesmith-sdk-"));
  onTestFinished(() => rm(outputDir, { recursive: true }));
  const watched: Watched = { sessions: [], disposed: 0 };
  const adapter = { r: 4, loraAlpha: 8, targetModules: ["q_proj"], useRslora: true };
  const model = new FastLanguageModel(echoModel(watched)).getPeftModel(adapter);
  await new SFTTrainer({ model, trainDataset: rows, args: { outputDir, maxSteps: 1, saveStrategy: "no" } }).train();
  expect(watched.sessions.map((session) => session.adapter)).toEqual([adapter]);
});

it("refuses adapter options given twice", () => {
  const model = new FastLanguageModel(echoModel()).getPeftModel({ r: 4 });
  expect(() => new SFTTrainer({ model, trainDataset: rows, peftConfig: { r: 8 } })).toThrow(
    expect.objectContaining({ name: "OptionError" }),
  );
});

it("streams the answer to a string or to messages, with one session for all calls", async () => {
  const watched: Watched = { sessions: [], disposed: 0 };
  const model = new FastLanguageModel(echoModel(watched), "an/adapter");
  expect(await pieces(model.generate("né→"))).toEqual(["n", "é", "→"]);
  const messages = [
    { role: "user", content: "ab" },
    { role: "assistant", content: "c" },
  ];
  expect((await pieces(model.generate(messages, { maxNewTokens: 2 }))).join("")).toBe("ab");
  expect(watched.sessions).toEqual([
    { adapter: { path: "an/adapter" }, optimizer: null, gradientCheckpointing: false, seed: 0 },
  ]);
  await model.dispose();
  expect(watched.disposed).toBe(1);
});

it("takes a string as plain text and refuses messages where the model has no chat template", async () => {
  const model = new FastLanguageModel(echoModel(undefined, null));
  expect((await pieces(model.generate("text"))).join("")).toBe("text");
  await expect(pieces(model.generate([{ role: "user", content: "x" }]))).rejects.toMatchObject({
    name: "ArgumentError",
  });
  await expect(pieces(model.generate(""))).rejects.toMatchObject({ name: "ArgumentError" });
});

it("stops on request", async () => {
  const model = new FastLanguageModel(echoModel());
  await expect(pieces(model.generate("x", { signal: AbortSignal.abort() }))).rejects.toThrow();
});

it("holds a character back until all its tokens are there", () => {
  const stream = new TextStream(echoModel().tokenizer);
  const ids = [...new TextEncoder().encode("aé→b")];
  expect(ids.map((id) => stream.push(id))).toEqual(["a", "", "é", "", "", "→", "b"]);
  expect(stream.push(0xc3)).toBe("");
  expect(stream.end()).toBe("\ufffd");
});
