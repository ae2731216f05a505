// Items that are prompts without an answer.
import { type Conversation, DataError, type Tokenizer, textOf } from "@tunesmith/core";
import { encodeContext } from "./conversation.ts";
import type { ItemKind } from "./item.ts";
import { encodeText } from "./text.ts";

/** A prompt that waits for an answer: plain text, or a conversation. */
export type PromptItem = string | Conversation;

/** Prompts, to be answered during training. */
export const promptKind: ItemKind<PromptItem> = {
  async encode() {
    throw new DataError("[data] expected rows with an answer, got prompts alone; add the answers");
  },
  async prompt(value: PromptItem, tokenizer: Tokenizer) {
    if (typeof value === "string") return { prompt: value, ids: await encodeText(value, tokenizer), reference: null };
    const last = value.messages.at(-1);
    return { prompt: (last && textOf(last)) ?? "", ids: await encodeContext(value, tokenizer), reference: null };
  },
};
