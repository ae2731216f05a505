// Prompts of held-out rows, to be answered during training.
import type { Tokenizer } from "@tunesmith/core";
import type { Item } from "../formats/format.ts";

/** A prompt whose continuation is watched during training. */
export interface SamplePrompt {
  /** The prompt as text. */
  prompt: string;
  /** The prompt as ids, ready for generation. */
  ids: Int32Array;
  /** What the row says the answer is; null when the row does not say. */
  reference: string | null;
}

/** Prompts and reference answers of held-out rows: a conversation up to its last assistant turn, or a prompt. Plain text gives none. */
export async function promptsOfItems(items: readonly Item[], tokenizer: Tokenizer): Promise<SamplePrompt[]> {
  const prompts: SamplePrompt[] = [];
  for (const item of items) {
    if (item.kind === "pair") {
      prompts.push({ prompt: item.prompt, ids: await encodeText(item.prompt, tokenizer), reference: item.completion });
    } else if (item.kind === "conversation") {
      const { messages } = item.conversation;
      const last = messages.findLastIndex((message) => message.role === "assistant");
      const context = { ...item.conversation, messages: messages.slice(0, last) };
      const ids = await encodeContext(context, tokenizer);
      prompts.push({ prompt: context.messages.at(-1)?.content ?? "", ids, reference: messages[last]?.content ?? null });
    }
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

async function encodeText(text: string, tokenizer: Tokenizer): Promise<Int32Array> {
  const [ids] = await tokenizer.encodeTexts([text]);
  return ids ?? new Int32Array();
}

async function encodeContext(
  conversation: Parameters<Tokenizer["encodeConversations"]>[0][number],
  tokenizer: Tokenizer,
): Promise<Int32Array> {
  const [encoded] = await tokenizer.encodeConversations([conversation], { addGenerationPrompt: true });
  return encoded?.ids ?? new Int32Array();
}
