// Sends items through door A and labels what comes back.
import type { EncodedPair, Tokenizer } from "@tunesmith/core";
import { OptionError } from "@tunesmith/core";
import type { Item } from "../formats/format.ts";
import { labelAll, labelAssistant, labelCompletion } from "./mask.ts";

/** Which tokens are trained (names of TRL's SFTConfig). */
export interface LossOptions {
  /**
   * Conversations: only the assistant's turns are trained. Default true. TRL's default is false; training on the user's words
   * as well is rarely meant, and the response-only form is what is recommended for chat data.
   */
  assistantOnlyLoss: boolean;
  /** Prompt-completion rows: only the completion is trained. Default null: true for such rows. Other rows have no completion. */
  completionOnlyLoss: boolean | null;
}

/** An item as ids and labels, not yet truncated. */
export interface EncodedItem {
  ids: Int32Array;
  labels: Int32Array;
  /** Messages; 2 for a pair, 1 for a text. */
  turns: number;
  /** True when a prompt's own ids are not a prefix of the joint ids. */
  prefixMismatch: boolean;
}

type ItemOf<K extends Item["kind"]> = Extract<Item, { kind: K }>;

/** Sends items through door A, those of one kind together, and labels what comes back. */
export async function encodeItems(
  items: readonly Item[],
  tokenizer: Tokenizer,
  options: LossOptions,
): Promise<EncodedItem[]> {
  const encoded: EncodedItem[] = new Array(items.length);
  const each = async <K extends Item["kind"], E>(
    kind: K,
    encode: (items: ItemOf<K>[]) => Promise<E[]>,
    label: (item: ItemOf<K>, encoded: E) => EncodedItem,
  ) => {
    const places = items.flatMap((item, index) => (item.kind === kind ? [index] : []));
    if (places.length === 0) return;
    const chosen = places.map((index) => items[index] as ItemOf<K>);
    const results = await encode(chosen);
    for (const [n, place] of places.entries()) encoded[place] = label(chosen[n] as ItemOf<K>, results[n] as E);
  };
  await each(
    "conversation",
    (chosen) => tokenizer.encodeConversations(chosen.map((item) => item.conversation)),
    (item, { ids, spans, turns }) => {
      const trained = trainedTurns(item, options);
      const labels = trained === null ? labelAll(ids) : labelAssistant({ ids, spans, turns }, trained);
      return { ids, labels, turns: item.conversation.messages.length, prefixMismatch: false };
    },
  );
  await each(
    "pair",
    (chosen) => tokenizer.encodePairs(chosen),
    (_item, pair) => labelPair(pair, options),
  );
  await each(
    "text",
    (chosen) =>
      tokenizer.encodeTexts(
        chosen.map((item) => item.text),
        { appendEos: true },
      ),
    (_item, ids) => {
      refuseCompletionOnly(options, "plain text");
      return { ids, labels: labelAll(ids), turns: 1, prefixMismatch: false };
    },
  );
  return encoded;
}

function labelPair(pair: EncodedPair, { completionOnlyLoss }: LossOptions): EncodedItem {
  const { ids, promptLength, prefixMismatch } = pair;
  const labels = completionOnlyLoss === false ? labelAll(ids) : labelCompletion(ids, promptLength);
  return { ids, labels, turns: 2, prefixMismatch };
}

/** Which turns of a conversation are trained; null for every token of it. */
function trainedTurns(item: ItemOf<"conversation">, options: LossOptions): ((turn: number) => boolean) | null {
  const { messages } = item.conversation;
  const marked = (turn: number) => messages[turn]?.train !== false;
  if (item.completionStart > 0 && options.completionOnlyLoss !== false)
    return (turn) => turn >= item.completionStart && marked(turn);
  if (item.completionStart === 0) refuseCompletionOnly(options, "conversations");
  return options.assistantOnlyLoss ? marked : null;
}

function refuseCompletionOnly({ completionOnlyLoss }: LossOptions, kind: string): void {
  if (completionOnlyLoss !== true) return;
  throw new OptionError(
    `[completionOnlyLoss] expected rows with "prompt" and "completion", got ${kind}; leave the option out`,
  );
}
