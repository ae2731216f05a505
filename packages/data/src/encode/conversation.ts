// Items that are conversations: rendered by the chat template, trained where the assistant wrote.
import { type Conversation, type EncodedConversation, type Tokenizer, textOf } from "@tunesmith/core";
import { type EncodedItem, type ItemKind, type LossOptions, refuseCompletionOnly } from "./item.ts";
import { labelAll, labelAssistant } from "./mask.ts";

/** A conversation of a row. */
export interface ConversationItem {
  conversation: Conversation;
  /** First message of the completion where the row names one (conversational prompt-completion), else 0. */
  completionStart: number;
}

/** Conversations. The prompt is everything before the last turn of the assistant. */
export const conversationKind: ItemKind<ConversationItem> = {
  async encode(items, tokenizer, options) {
    const encoded = await tokenizer.encodeConversations(items.map(({ conversation }) => conversation));
    return items.map((item, index) => label(item, encoded[index] as EncodedConversation, options));
  },
  async prompt({ conversation }, tokenizer) {
    const { messages } = conversation;
    const last = messages.findLastIndex((message) => message.role === "assistant");
    const context = { ...conversation, messages: messages.slice(0, last) };
    const ids = await encodeContext(context, tokenizer);
    const [asked, answer] = [context.messages.at(-1), messages[last]];
    return { prompt: (asked && textOf(asked)) ?? "", ids, reference: (answer && textOf(answer)) ?? null };
  },
};

/** Ids of a conversation that waits for the assistant's answer. */
export async function encodeContext(conversation: Conversation, tokenizer: Tokenizer): Promise<Int32Array> {
  const [encoded] = await tokenizer.encodeConversations([conversation], { addGenerationPrompt: true });
  return encoded?.ids ?? new Int32Array();
}

function label(item: ConversationItem, encoded: EncodedConversation, options: LossOptions): EncodedItem {
  const { ids } = encoded;
  const trained = trainedTurns(item, options);
  const labels = trained === null ? labelAll(ids) : labelAssistant(encoded, trained);
  return { ids, labels, turns: item.conversation.messages.length, prefixMismatch: false, notes: encoded.notes ?? [] };
}

/** Which turns of a conversation are trained; null for every token of it. */
function trainedTurns(item: ConversationItem, options: LossOptions): ((turn: number) => boolean) | null {
  const { messages } = item.conversation;
  const marked = (turn: number) => messages[turn]?.train !== false;
  if (item.completionStart > 0 && options.completionOnlyLoss !== false)
    return (turn) => turn >= item.completionStart && marked(turn);
  if (item.completionStart === 0) refuseCompletionOnly(options, "conversations");
  return options.assistantOnlyLoss ? marked : null;
}
