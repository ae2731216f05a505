// Items that are a prompt and its completion, both plain text.
import type { EncodedPair } from "@tunesmith/core";
import { type ItemKind, isStart, refuseWithoutTurns } from "./item.ts";
import { labelAll, labelCompletion } from "./mask.ts";
import { refuseDoubleBos } from "./special.ts";
import { encodeText } from "./text.ts";

/** A prompt and its completion. */
export interface PairItem {
  prompt: string;
  completion: string;
}

/** Prompts and completions, tokenised jointly. */
export const pairKind: ItemKind<PairItem> = {
  async encode(items, tokenizer, options) {
    const { completionOnlyLoss, promptLossWeight = 0, maxTokens = null } = options;
    refuseWithoutTurns(options, "prompts and completions as text");
    const encoded: EncodedPair[] = await tokenizer.encodePairs(items, { maxTokens });
    return encoded.map(({ ids, promptLength, prefixMismatch }) => {
      refuseDoubleBos(ids, tokenizer);
      const isWhole = completionOnlyLoss === false;
      const supervision = isWhole ? labelAll(ids) : labelCompletion(ids, promptLength, promptLossWeight);
      const rest = isStart(ids, { maxTokens }) && { rest: "trained" as const };
      return { ids, ...supervision, turns: 2, prefixMismatch, ...rest };
    });
  },
  async prompt({ prompt, completion }, tokenizer) {
    return { prompt, ids: await encodeText(prompt, tokenizer), reference: completion };
  },
};
