// Tokens that a model gets besides its own: ids, what is trained of them, and where they are found again.
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { compareMerged, loadModel } from "@tunesmith/native";
import { expect, onTestFinished, test, vi } from "vitest";
import { scratchFolder } from "../../core/src/testing/scratch.ts";
import { addNewTokens, FastLanguageModel, getChatTemplate, SFTTrainer } from "./index.ts";

vi.setConfig({ testTimeout: 120_000 });

const models = resolve(import.meta.dirname, "../../../test/fixtures/models");
/** One whose head is a matrix of its own, and one whose head is the embedding. */
const untied = { path: join(models, "llama"), vocabulary: 340 };
const tied = { path: join(models, "qwen2"), vocabulary: 336 };
const more = { addTokens: ["<sum>", "<end of sum>"], addSpecialTokens: ["<|tool|>"] };
const rows = Array.from({ length: 6 }, (_, n) => ({
  messages: [
    { role: "user", content: `Add <sum>${n}<end of sum>.` },
    { role: "assistant", content: `<sum>${n}<end of sum>` },
  ],
}));
const lora = { r: 2, targetModules: ["q_proj"] };
const quick = { maxSteps: 3, learningRate: 1e-2, saveStrategy: "steps", saveSteps: 2, reportTo: "none" } as const;

async function json(...path: string[]) {
  return JSON.parse(await readFile(join(...path), "utf8"));
}

async function idsOf(model: Pick<FastLanguageModel, "tokenizer">, texts: readonly string[]) {
  return (await model.tokenizer.encodeTexts(texts)).map((ids) => [...ids]);
}

/** A run on such a model, and what opens its result. */
async function trained({ path }: { path: string }) {
  const outputDir = await scratchFolder(onTestFinished);
  const model = await FastLanguageModel.fromPretrained(path, { device: "cpu", ...more });
  const { adapterDir } = await new SFTTrainer({
    model: model.getPeftModel(lora),
    trainDataset: rows,
    args: { outputDir, ...quick },
  }).train();
  return { adapterDir, outputDir, model };
}

test.each([
  ["a head of its own", untied],
  ["a tied head", tied],
])("rows of new tokens alone are trained, saved and found again: %s", async (_, base) => {
  const { adapterDir, outputDir } = await trained(base);
  const [first, second, special] = [base.vocabulary, base.vocabulary + 1, base.vocabulary + 2];
  const ids = [first, second, special];
  const config = await json(adapterDir, "adapter_config.json");
  expect(config.trainable_token_indices).toEqual(base === tied ? ids : { embed_tokens: ids, lm_head: ids });
  const listed = (await json(adapterDir, "tokenizer.json")).added_tokens.slice(-3);
  expect(listed).toMatchObject([
    { id: first, content: "<sum>", normalized: true, special: false },
    { id: second, content: "<end of sum>", special: false },
    { id: special, content: "<|tool|>", normalized: false, special: true },
  ]);
  const plain = await FastLanguageModel.fromPretrained(base.path, { device: "cpu" });
  const model = await FastLanguageModel.fromPretrained(base.path, { device: "cpu", adapter: adapterDir });
  onTestFinished(() => model.dispose());
  expect(model.info.vocabSize).toBe(base.vocabulary + 3);
  expect(await idsOf(model, ["<sum>", "<end of sum>", "<|tool|>"])).toEqual([[first], [second], [special]]);
  // Ids that were there stay.
  const texts = ["Add 12 and 30.", "<|im_start|>user\nHi<|im_end|>"];
  expect(await idsOf(model, texts)).toEqual(await idsOf(plain, texts));
  expect(model.tokenizer.decode(Int32Array.of(first, special))).toBe("<sum>");
  for await (const piece of model.generate("Add <sum>4<end of sum>.", { maxNewTokens: 3 }))
    expect(typeof piece).toBe("string");
  const merged = join(outputDir, "merged");
  await model.savePretrainedMerged(merged, { saveMethod: "merged_32bit" });
  expect((await json(merged, "config.json")).vocab_size).toBe(base.vocabulary + 3);
  const again = await loadModel(merged);
  expect(again.info.vocabSize).toBe(base.vocabulary + 3);
  expect(await idsOf(again, ["<sum>", "<|tool|>"])).toEqual([[first], [special]]);
  const prompt = (await model.tokenizer.encodeTexts(["Add <sum>7<end of sum>"]))[0] ?? new Int32Array();
  const check = await compareMerged({ model: base.path, adapter: adapterDir, merged, ids: prompt, threads: 1 });
  expect(check.top1Agreement).toBe(1);
  expect(check.largestDifference).toBeLessThan(1e-4 * check.largestLogit);
  const [gguf] = await model.savePretrainedGguf(join(outputDir, "model.gguf"), { quantizationMethod: "f32" as never });
  const exported = await loadModel(gguf?.path as string);
  expect(await idsOf(exported, ["<sum>", "<end of sum>", "<|tool|>"])).toEqual([[first], [second], [special]]);
  expect(await lossOf(exported, prompt)).toBeCloseTo(await lossOf(again, prompt), 4);
});

async function lossOf(model: Awaited<ReturnType<typeof loadModel>>, ids: Int32Array): Promise<number> {
  const session = await model.createGenerator();
  const positions = Int32Array.from(ids.keys());
  const sequenceStarts = Int32Array.of(0, ids.length);
  const rowIds = Int32Array.of(0);
  const batch = { inputIds: ids, labels: ids, positions, sequenceStarts, rowIds, microBatch: rowIds };
  const sums = await session.evaluate(batch);
  session.dispose();
  return sums.lossSum[0] as number;
}

test("a run is gone on with to the same adapter, and full fine-tuning saves tokenizer and tables", async () => {
  const { adapterDir, outputDir } = await trained(untied);
  const weights = await readFile(join(adapterDir, "adapter_model.safetensors"));
  const model = await FastLanguageModel.fromPretrained(untied.path, { device: "cpu", ...more });
  const resumed = await new SFTTrainer({
    model: model.getPeftModel(lora),
    trainDataset: rows,
    args: { outputDir, ...quick },
  }).train({ resumeFromCheckpoint: join(outputDir, "checkpoint-2") });
  expect((await readFile(join(resumed.adapterDir, "adapter_model.safetensors"))).equals(weights)).toBe(true);
  const whole = await FastLanguageModel.fromPretrained(untied.path, { device: "cpu", ...more, fullFinetuning: true });
  const args = { outputDir: await scratchFolder(onTestFinished), ...quick, saveStrategy: "no" as const };
  await new SFTTrainer({ model: whole, trainDataset: rows, args }).train();
  const opened = await FastLanguageModel.fromPretrained(whole.saved.model, { device: "cpu" });
  expect(opened.info).toMatchObject({ vocabSize: untied.vocabulary + 3, warnings: [] });
  expect(await idsOf(opened, ["<|tool|>"])).toEqual([[untied.vocabulary + 2]]);
  // It answers as trained, without a word about tokens that its tokenizer has by now.
  const warned: string[] = [];
  process.on("warning", ({ message }) => warned.push(message));
  for await (const _ of whole.generate("<sum>", { maxNewTokens: 1 }));
  await whole.dispose();
  expect(warned.filter((message) => message.includes("addTokens"))).toEqual([]);
});

test("a chat template gets the tokens that it writes, and its end of turn ends answers", async () => {
  const template =
    "{% for m in messages %}<|turn|>{{ m.role }}\n{% generation %}{{ m.content }}<|end_turn|>{% endgeneration %}{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}";
  const base = await FastLanguageModel.fromPretrained(tied.path, { device: "cpu" });
  await expect(getChatTemplate(base, { chatTemplate: template })).rejects.toThrow(
    /got <\|turn\|>; use a template made for this model, or add its tokens with addSpecialTokens/u,
  );
  const grown = await addNewTokens(base, { newTokens: ["<|turn|>", "<|end_turn|>"], special: true });
  const model = await getChatTemplate(grown, { chatTemplate: template });
  const [encoded] = await model.tokenizer.encodeConversations([{ messages: rows[0]?.messages ?? [] }]);
  expect(encoded?.ids[0]).toBe(tied.vocabulary);
  expect(model.info.eosTokenIds).toContain(tied.vocabulary + 1);
});

test("tokens that are there are left as they are, and what cannot be one is refused", async () => {
  const base = await FastLanguageModel.fromPretrained(tied.path, { device: "cpu" });
  const kept = await addNewTokens(base, { newTokens: ["<|im_end|>", "<new>"] });
  expect(await idsOf(kept, ["<|im_end|>", "<new>"])).toEqual([[2], [tied.vocabulary]]);
  expect(kept.info.warnings).toEqual([
    expect.stringMatching(/^addTokens: "<\|im_end\|>" is a token of this vocabulary.*id 2 in trainableTokenIndices/u),
  ]);
  const refused = (newTokens: unknown, method?: string) =>
    addNewTokens(base, { newTokens, method } as never).catch(({ code, message }) => `${code} ${message}`);
  expect(await refused(["<a>", "<a>"])).toMatch(/^TOKENIZER_INVALID \[addTokens\] .*got "<a>" twice/u);
  expect(await refused([" \n"])).toMatch(/\[addTokens\] .*nothing but white space/u);
  expect(await refused([])).toMatch(/^OPTION_INVALID \[newTokens\] expected a list of texts, got \[\]/u);
  expect(await refused(["<a>"], "interpolation")).toMatch(/\[method\] expected "mean", got "interpolation"/u);
  const special = await base.withTokens(["<a>"], { special: true });
  await expect(special.withTokens(["<b>"])).rejects.toThrow(/\[addTokens\] expected tokens before special ones/u);
  const [outputDir, args] = [await scratchFolder(onTestFinished), { ...quick }];
  const model = special.getPeftModel({ r: 2, targetModules: ["q_proj", "embed_tokens"] });
  await expect(
    new SFTTrainer({ model, trainDataset: rows, args: { ...args, outputDir } }).train(),
  ).rejects.toMatchObject({
    code: "OPTION_INVALID",
    message: expect.stringContaining("embed_tokens among targetModules"),
  });
});
