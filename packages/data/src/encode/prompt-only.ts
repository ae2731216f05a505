// Items that are prompts without an answer.
import { type Conversation, type Tokenizer, textOf } from "@tunesmith/core";
import { encodeContext } from "./conversation.ts";
import type { ItemKind } from "./item.ts";
import { IGNORE_INDEX } from "./mask.ts";
import { encodeText } from "./text.ts";

/** A prompt that waits for an answer: plain text, or a conversation. */
export type PromptItem = string | Conversation;

/** Prompts, to be answered during training: nothing of them is trained. */
export const promptKind: ItemKind<PromptItem> = {
  encode: (values, tokenizer) =>
    Promise.all(
      values.map(async (value) => {
        const isText = typeof value === "string";
        const ids = await (isText ? encodeText(value, tokenizer) : encodeContext(value, tokenizer));
        const labels = new Int32Array(ids.length).fill(IGNORE_INDEX);
        return { ids, labels, turns: isText ? 1 : value.messages.length, prefixMismatch: false };
      }),
    ),
  async prompt(value: PromptItem, tokenizer: Tokenizer) {
    if (typeof value === "string") return { prompt: value, ids: await encodeText(value, tokenizer), reference: null };
    const last = value.messages.at(-1);
    return { prompt: (last && textOf(last)) ?? "", ids: await encodeContext(value, tokenizer), reference: null };
  },
};
