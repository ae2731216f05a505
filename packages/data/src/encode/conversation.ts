// Items that are conversations: rendered by the chat template, trained where the assistant wrote.
import {
  asNumber,
  type Conversation,
  type EncodedConversation,
  type Message,
  slices,
  type Tokenizer,
  textOf,
} from "@tunesmith/core";
import {
  type EncodedItem,
  type EncodeOptions,
  type ItemKind,
  isStart,
  type LossOptions,
  refuseCompletionOnly,
} from "./item.ts";
import { labelAssistant } from "./mask.ts";
import { untrainedEnd } from "./special.ts";

/** A conversation of a row. */
export interface ConversationItem {
  conversation: Conversation;
  /** First message of the completion where the row names one (conversational prompt-completion), else 0. */
  completionStart: number;
}

/** Conversations. The prompt is everything before the last turn of the assistant. */
export const conversationKind: ItemKind<ConversationItem> = {
  async encode(items, tokenizer, options) {
    const conversations = items.map(({ conversation }) => conversation);
    const encoded = await tokenizer.encodeConversations(conversations, {
      maxTokens: options.maxTokens ?? null,
      ...(options.trainOnToolCalls === false && { findToolCalls: true }),
      ...(options.trainOnReasoning === false && { findReasoning: true }),
    });
    const labelled: EncodedItem[] = [];
    for (const [index, item] of items.entries()) {
      labelled.push(label(item, encoded[index] as EncodedConversation, tokenizer, options));
      if (slices.isOver) await slices.turn();
    }
    return labelled;
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

function label(
  item: ConversationItem,
  encoded: EncodedConversation,
  tokenizer: Tokenizer,
  options: EncodeOptions,
): EncodedItem {
  const { messages } = item.conversation;
  const { firstTrained, otherWeight } = trainedPart(item, options);
  const weightOfTurn = (turn: number) => weightOf(messages[turn]) * (turn < firstTrained ? otherWeight : 1);
  const { ids, notes: given = [], toolCalls, reasoning } = encoded;
  const supervision = labelAssistant(encoded, weightOfTurn, otherWeight, {
    ranges: [toolCalls, reasoning].filter((ranges) => ranges !== undefined),
    weightOf: (turn) => weightOf(messages[turn]) * (options.promptLossWeight ?? 0),
  });
  const end = otherWeight === 0 ? untrainedEnd(encoded, tokenizer) : null;
  const notes = end === null ? given : [...given, { kind: "endNotTrained", name: end } as const];
  const rest = isStart(ids, options) && { rest: restOf(encoded, weightOfTurn, otherWeight) };
  return { ids, ...supervision, turns: messages.length, prefixMismatch: false, notes, ...rest };
}

/** What follows the start of a conversation: a turn whose range reaches its end goes on, or comes, after it. */
function restOf(
  { ids, spans, turns }: EncodedConversation,
  weightOfTurn: (turn: number) => number,
  otherWeight: number,
): "trained" | "context" {
  const goesOn = (turn: number, n: number) => spans[2 * n + 1] === ids.length && weightOfTurn(turn) > 0;
  return otherWeight > 0 || turns.some(goesOn) ? "trained" : "context";
}

/** From which message on the assistant's turns are trained, and the weight of everything else. */
function trainedPart(item: ConversationItem, options: LossOptions): { firstTrained: number; otherWeight: number } {
  const { promptLossWeight = 0, lastResponseOnly = false } = options;
  const { completionStart } = item;
  const isCompletion = completionStart > 0 && options.completionOnlyLoss !== false;
  if (completionStart === 0) refuseCompletionOnly(options, "conversations");
  const last = item.conversation.messages.findLastIndex(({ role }) => role === "assistant");
  return {
    firstTrained: lastResponseOnly ? last : isCompletion ? completionStart : 0,
    otherWeight: isCompletion || options.assistantOnlyLoss ? promptLossWeight : 1,
  };
}

/** Loss weight of a turn: its `weight`, and 0 where it is not to be trained. */
function weightOf(message: Message | undefined): number {
  return message?.train === false ? 0 : (asNumber(message?.weight) ?? 1);
}
