import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ownTemplates } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../../core/src/testing/scratch.ts";
import { FastLanguageModel } from "./fast-language-model.ts";
import { getChatTemplate } from "./get-chat-template.ts";
import { SFTTrainer } from "./sft-trainer.ts";

const folder = fileURLToPath(new URL("../../../test/fixtures/models/llama", import.meta.url));
const messages = [
  { role: "user", content: "a" },
  { role: "assistant", content: "b" },
];
/** ChatML with another header, so that it cannot be taken for the model's own. */
const other = ownTemplates.chatml.replace("message['role'] +", "message['role'] + '!' +");

test("a template is used in training and answers, saved with the adapter, and found there again", async () => {
  const base = await FastLanguageModel.fromPretrained(folder, { device: "cpu", chatTemplate: other });
  expect(base.tokenizer.render({ messages })).toContain("<|im_start|>user!\n");
  const outputDir = await scratchFolder(onTestFinished);
  const args = { outputDir, maxSteps: 1, saveStrategy: "no", learningRate: 1e-3 } as const;
  const { adapterDir } = await new SFTTrainer({
    model: base.getPeftModel({ r: 2 }),
    trainDataset: [{ messages }],
    args,
  }).train();
  expect(await readFile(join(adapterDir, "chat_template.jinja"), "utf8")).toBe(other);
  const again = await FastLanguageModel.fromPretrained(folder, { device: "cpu", adapter: adapterDir });
  expect(again.tokenizer.info.chatTemplate).toBe(other);
  const merged = join(outputDir, "merged");
  await again.savePretrainedMerged(merged, { saveMethod: "merged_32bit" });
  expect((await FastLanguageModel.fromPretrained(merged, { device: "cpu" })).tokenizer.info.chatTemplate).toBe(other);
});

test("getChatTemplate gives the model with one of our own, whose end of turn ends generation", async () => {
  const model = await FastLanguageModel.fromPretrained(folder, { device: "cpu" });
  const mapping = { role: "from", content: "value", user: "human", assistant: "gpt" };
  const chatml = await getChatTemplate(model, { chatTemplate: "chatml", mapping });
  expect(chatml.tokenizer.info.chatTemplate).toBe(ownTemplates.chatml);
  const [end] = await chatml.tokenizer.encodeTexts(["<|im_end|>"]);
  expect(chatml.info.eosTokenIds).toContain(end?.at(-1));
  await expect(getChatTemplate(model, { mapping: { user: "frage" } })).rejects.toThrow(
    /\[mapping\] expected user or human/u,
  );
});

test.each([
  ["gemma", /<end_of_turn>/u],
  ["llama3", /<\|start_header_id\|>|<\|eot_id\|>/u],
  ["{{ messages[0]['content'] }}{{ messages[1]['content'] + '<bye>' }}", /"<bye>", which is several tokens/u],
  ["chatlm", /\[chatTemplate\] .* did you mean "chatml"\?/u],
])("the template %s is refused where it does not fit", async (chatTemplate, message) => {
  await expect(FastLanguageModel.fromPretrained(folder, { device: "cpu", chatTemplate })).rejects.toThrow(message);
});
