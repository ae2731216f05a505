// Items that are plain text.
import type { Tokenizer } from "@tunesmith/core";
import { type ItemKind, isStart, refuseCompletionOnly, refuseWithoutResponse, refuseWithoutTurns } from "./item.ts";
import { labelAll } from "./mask.ts";
import { refuseDoubleBos } from "./special.ts";

/** Plain texts: every token is trained, with the end-of-sequence token after it. There is no prompt in them. */
export const textKind: ItemKind<string> = {
  async encode(texts, tokenizer, options) {
    const encoded = await tokenizer.encodeTexts(texts, { appendEos: true, maxTokens: options.maxTokens ?? null });
    refuseCompletionOnly(options, "plain text");
    refuseWithoutResponse(options, "plain text");
    refuseWithoutTurns(options, "plain text");
    for (const ids of encoded) refuseDoubleBos(ids, tokenizer);
    return encoded.map((ids) => ({
      ids,
      ...labelAll(ids),
      turns: 1,
      prefixMismatch: false,
      ...(isStart(ids, options) && { rest: "trained" as const }),
    }));
  },
  async prompt() {
    return null;
  },
};

/** Ids of a text to be continued. */
export async function encodeText(text: string, tokenizer: Tokenizer): Promise<Int32Array> {
  const [ids] = await tokenizer.encodeTexts([text]);
  return ids ?? new Int32Array();
}
