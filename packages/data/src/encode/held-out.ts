// Prompts of held-out rows, to be answered during training.
import type { Tokenizer } from "@tunesmith/core";
import { encodeContext } from "./conversation.ts";
import type { Item, SamplePrompt } from "./item.ts";
import { encodeText } from "./text.ts";

/** Prompts and reference answers of held-out rows: a conversation up to its last assistant turn, or a prompt. Plain text gives none. */
export async function promptsOfItems(items: readonly Item[], tokenizer: Tokenizer): Promise<SamplePrompt[]> {
  const prompts: SamplePrompt[] = [];
  for (const { kind, value } of items) {
    const prompt = await kind.prompt(value, tokenizer);
    if (prompt !== null) prompts.push(prompt);
  }
  return prompts;
}

/** Prompts given as text: a user's turn where the model has a chat template, else plain text. */
export async function promptsOfTexts(texts: readonly string[], tokenizer: Tokenizer): Promise<SamplePrompt[]> {
  return Promise.all(
    texts.map(async (prompt) => {
      const ids =
        tokenizer.info.chatTemplate === null
          ? await encodeText(prompt, tokenizer)
          : await encodeContext({ messages: [{ role: "user", content: prompt }] }, tokenizer);
      return { prompt, ids, reference: null };
    }),
  );
}
