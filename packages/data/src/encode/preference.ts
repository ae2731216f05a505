// Items that are two answers to one prompt, one of which is preferred.
import type { Tokenizer } from "@tunesmith/core";
import { type ConversationItem, conversationKind, encodeContext } from "./conversation.ts";
import { encodeItems } from "./encode.ts";
import type { EncodedItem, EncodeOptions, Item, ItemKind } from "./item.ts";
import { labelCompletion } from "./mask.ts";
import type { PairItem } from "./pair.ts";
import { encodeText } from "./text.ts";

/** Two answers to one prompt, each whole: conversations that share their first messages, or pairs with the same prompt. */
export interface PreferenceItem {
  chosen: Item;
  rejected: Item;
}

/**
 * Preferences, as TRL's DPOTrainer tokenises them: both answers with their prompt, and the prompt for itself, with the generation prompt
 * of a chat template. What all three begin with is the prompt, the rest of either answer is trained. Texts end with one end of sequence.
 * The prompt to be watched is that of the chosen answer.
 */
export const preferenceKind: ItemKind<PreferenceItem> = {
  async encode(items, tokenizer, { maxTokens = null }) {
    // Every token has a label here: which of them are trained shows when the prompt is known.
    const options: EncodeOptions = { assistantOnlyLoss: false, completionOnlyLoss: false, maxTokens };
    const side = (name: keyof PreferenceItem) =>
      encodeItems(
        items.map((item) => item[name]),
        tokenizer,
        options,
      );
    const [chosen, rejected] = [await side("chosen"), await side("rejected")];
    const encoded: EncodedItem[] = [];
    for (const [n, item] of items.entries())
      encoded.push(
        aligned(await promptIds(item.chosen, tokenizer), chosen[n] as EncodedItem, rejected[n] as EncodedItem),
      );
    return encoded;
  },
  prompt: ({ chosen }, tokenizer) => chosen.kind.prompt(chosen.value, tokenizer),
};

/** Ids of the prompt alone, as it waits for an answer; none where there is no prompt. */
async function promptIds({ kind, value }: Item, tokenizer: Tokenizer): Promise<Int32Array> {
  if (kind !== conversationKind) return encodeText((value as PairItem).prompt, tokenizer);
  const { conversation, completionStart } = value as ConversationItem;
  if (completionStart === 0) return new Int32Array();
  return encodeContext({ ...conversation, messages: conversation.messages.slice(0, completionStart) }, tokenizer);
}

/** Both answers, trained from where they leave the start that they share with their prompt. */
function aligned(prompt: Int32Array, chosen: EncodedItem, rejected: EncodedItem): EncodedItem {
  const differing = prompt.findIndex((id, t) => chosen.ids[t] !== id || rejected.ids[t] !== id);
  const shared = differing === -1 ? prompt.length : differing;
  const answer = ({ weights: _, ...encoded }: EncodedItem) => ({
    ...encoded,
    ...labelCompletion(encoded.ids, shared, 0),
  });
  const notes = [...(chosen.notes ?? []), ...(rejected.notes ?? [])];
  return {
    ...answer(chosen),
    notes,
    prefixMismatch: shared < prompt.length,
    rejected: { ids: rejected.ids, ...labelCompletion(rejected.ids, shared, 0) },
    promptLength: shared,
  };
}
