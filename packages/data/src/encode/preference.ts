// Items that are two answers to one prompt, one of which is preferred.
import { DataError } from "@tunesmith/core";
import type { Item, ItemKind } from "./item.ts";

/** Two answers to one prompt, each whole: conversations that share their first messages, or pairs with the same prompt. */
export interface PreferenceItem {
  chosen: Item;
  rejected: Item;
}

/** Preferences. The prompt is that of the chosen answer. */
export const preferenceKind: ItemKind<PreferenceItem> = {
  async encode() {
    throw new DataError("[data] expected one answer a row, got two to compare; encode each of them for itself");
  },
  prompt: ({ chosen }, tokenizer) => chosen.kind.prompt(chosen.value, tokenizer),
};
