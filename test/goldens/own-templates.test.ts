import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Conversation, type OwnTemplate, ownTemplates, type Tokenizer } from "@tunesmith/core";
import { loadTokenizer } from "@tunesmith/native";
import { expect, onTestFinished, test } from "vitest";

const vocabulary = resolve(import.meta.dirname, "../fixtures/models/llama/tokenizer.json");
const recorded = join(process.env.TUNESMITH_FIXTURES ?? "", "trl/chat-templates/rendered.json");

/** The template that each of ours stands for, and one that marks answers, as the fixtures call them. */
const families: Partial<Record<OwnTemplate, { plain: string; marked: string }>> = {
  llama3: { plain: "llama3", marked: "llama3_training" },
  qwen: { plain: "qwen2_5", marked: "qwen2_5_training" },
  gemma: { plain: "gemma3", marked: "gemma3_training" },
  phi: { plain: "phi3", marked: "phi3_training" },
};

interface Rendered {
  conversations: Record<string, Conversation & { add_generation_prompt?: boolean }>;
  rendered: Record<string, Record<string, { text?: string; error?: string; generation_spans?: [number, number][] }>>;
}

/** A tokenizer with one of our templates. */
function tokenizerWith(template: string): Promise<Tokenizer> {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-own-template-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  copyFileSync(vocabulary, join(folder, "tokenizer.json"));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ bos_token: "<s>", eos_token: "</s>" }));
  writeFileSync(join(folder, "chat_template.jinja"), template);
  return loadTokenizer(folder);
}

const talk = (system: boolean) => ({
  messages: [
    ...(system ? [{ role: "system", content: "S" }] : []),
    { role: "user", content: "A" },
    { role: "assistant", content: "B" },
    { role: "user", content: "C" },
    { role: "assistant", content: "D" },
  ],
});

test.each<[OwnTemplate, string, string]>([
  [
    "chatml",
    "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\nB<|im_end|>\n<|im_start|>user\nC<|im_end|>\n<|im_start|>assistant\nD<|im_end|>\n",
    "<|im_end|>",
  ],
  ["mistral", "<s>[INST] S\n\nA[/INST] B</s>[INST] C[/INST] D</s>", "</s>"],
])("%s writes its turns, and trains what closes an answer", async (name, text, close) => {
  const tokenizer = await tokenizerWith(ownTemplates[name]);
  expect(tokenizer.info.hasGenerationTags).toBe(true);
  expect(tokenizer.render(talk(true))).toBe(text);
  expect(trainedTexts(tokenizer, (await tokenizer.encodeConversations([talk(true)]))[0])).toEqual([
    `B${close}`,
    `D${close}`,
  ]);
});

test.runIf(existsSync(recorded)).each(Object.entries(families))(
  "%s writes plain conversations as its family does, and trains what is marked there",
  async (name, { plain, marked }) => {
    const { conversations, rendered } = JSON.parse(readFileSync(recorded, "utf8")) as Rendered;
    const tokenizer = await tokenizerWith(ownTemplates[name as OwnTemplate]);
    let compared = 0;
    for (const [key, conversation] of Object.entries(conversations)) {
      const { messages, add_generation_prompt: addGenerationPrompt = false } = conversation;
      const isPlain = messages.every(
        (message) => Object.keys(message).join() === "role,content" && message.role !== "tool",
      );
      const { text } = rendered[plain]?.[key] ?? {};
      if (!isPlain || conversation.tools !== undefined || text === undefined) continue;
      expect(tokenizer.render({ messages }, { addGenerationPrompt }), key).toBe(text);
      compared += 1;
      const golden = rendered[marked]?.[key];
      if (golden?.text !== text || addGenerationPrompt) continue;
      const letters = Array.from(text);
      const answers = (golden.generation_spans ?? [])
        .map(([start, end]) => letters.slice(start, end).join(""))
        // Phi 3 writes an end of sequence after the last turn, which ended with its own token already.
        .filter((answer) => answer !== "</s>");
      const trained = trainedTexts(tokenizer, (await tokenizer.encodeConversations([{ messages }]))[0]);
      // TRL's also mark the line end after an answer, which the template writes and not the model.
      for (const [n, answer] of answers.entries()) expect(trained[n], key).toContain(answer.trim());
    }
    expect(compared).toBeGreaterThan(5);
  },
);

function trainedTexts(tokenizer: Tokenizer, encoded: { ids: Int32Array; spans: Int32Array } | undefined): string[] {
  const { ids = new Int32Array(), spans = new Int32Array() } = encoded ?? {};
  return Array.from({ length: spans.length / 2 }, (_, n) =>
    tokenizer.decode(ids.subarray(spans[2 * n], spans[2 * n + 1]), { skipSpecialTokens: false }),
  );
}
