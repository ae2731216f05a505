import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { fakeModel, fakeTokenizer } from "../../trainer/src/testing/fake-session.ts";
import { FastLanguageModel } from "./fast-language-model.ts";
import { SFTTrainer } from "./sft-trainer.ts";
import { TextStream } from "./text-stream.ts";

const rows = Array.from({ length: 8 }, (_, i) => ({
  messages: [
    { role: "user", content: `row ${i}` },
    { role: "assistant", content: "ok" },
  ],
}));

const collect = async (pieces: AsyncIterable<string>) => {
  let text = "";
  for await (const piece of pieces) text += piece;
  return text;
};

it("gives the adapter of getPeftModel to the trainer", async () => {
  const outputDir = await mkdtemp(join(tmpdir(), "tunesmith-sdk-"));
  onTestFinished(() => rm(outputDir, { recursive: true }));
  const base = fakeModel();
  const adapters: unknown[] = [];
  const watched = {
    ...base,
    createSession: (options: Parameters<typeof base.createSession>[0]) => (
      adapters.push(options.adapter), base.createSession(options)
    ),
  };
  const model = new FastLanguageModel(watched).getPeftModel({
    r: 4,
    loraAlpha: 8,
    targetModules: ["q_proj"],
    useRslora: true,
  });
  await new SFTTrainer({ model, trainDataset: rows, args: { outputDir, maxSteps: 1 } }).train();
  expect(adapters).toEqual([{ r: 4, loraAlpha: 8, targetModules: ["q_proj"], useRslora: true }]);
});

it("refuses adapter options given twice", () => {
  const model = new FastLanguageModel(fakeModel()).getPeftModel({ r: 4 });
  expect(() => new SFTTrainer({ model, trainDataset: rows, peftConfig: { r: 8 } })).toThrow(
    expect.objectContaining({ code: "OPTION_INVALID" }),
  );
});

it("streams the continuation of a prompt with one session for all calls", async () => {
  const calls: string[] = [];
  const model = new FastLanguageModel(fakeModel({ onCall: (name) => calls.push(name) }));
  const text = await collect(model.generate("hello", { maxNewTokens: 5 }));
  expect(text.length).toBeLessThanOrEqual(5);
  expect(await collect(model.generate([{ role: "user", content: "hello" }], { maxNewTokens: 5 }))).toBe(text);
  expect(calls).toEqual(["createSession", "generate", "generate"]);
  await model.dispose();
  expect(calls.at(-1)).toBe("dispose");
});

it("takes a string as plain text and refuses messages where the model has no chat template", async () => {
  const base = fakeModel();
  const tokenizer = { ...base.tokenizer, info: { ...base.tokenizer.info, chatTemplate: null } };
  const model = new FastLanguageModel({ ...base, tokenizer });
  await expect(collect(model.generate([{ role: "user", content: "x" }]))).rejects.toMatchObject({
    name: "ArgumentError",
  });
  await expect(collect(model.generate(""))).rejects.toMatchObject({ name: "ArgumentError" });
  expect(await collect(model.generate("x", { maxNewTokens: 1 }))).toBeTypeOf("string");
});

it("holds a character back until all its tokens are there", () => {
  // Two tokens per character that is no ASCII, as byte-level tokenizers have them.
  const bytes = new TextDecoder();
  const stream = new TextStream({ ...fakeTokenizer, decode: (ids) => bytes.decode(Uint8Array.from(ids)) });
  const ids = [...new TextEncoder().encode("aé→b")];
  expect(ids.map((id) => stream.push(id))).toEqual(["a", "", "é", "", "", "→", "b"]);
  expect(stream.push(0xc3)).toBe("");
  expect(stream.end()).toBe("\ufffd");
});
