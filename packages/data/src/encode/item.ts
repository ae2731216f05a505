// What a row becomes before it is tokenised, and what is done with each kind of it.
import { type ConversationNote, type LengthOptions, OptionError, type Tokenizer } from "@tunesmith/core";
import type { Supervision } from "./mask.ts";

/** A row as its format understands it: what goes through door A, and which part of it may be trained. */
export interface Item<T = unknown> {
  kind: ItemKind<T>;
  value: T;
  /** Loss weight of the row, which multiplies that of each of its tokens. Default 1. */
  weight?: number;
}

/** What is done with items of one kind. A format of a new kind brings its own. */
export interface ItemKind<T> {
  /** Sends items through door A, all at once, and labels what comes back; results in the order of the items. */
  encode(values: readonly T[], tokenizer: Tokenizer, options: EncodeOptions): Promise<EncodedItem[]>;
  /** The prompt that is in an item, ready for generation; null where there is none. */
  prompt(value: T, tokenizer: Tokenizer): Promise<SamplePrompt | null>;
}

/** Which tokens are trained (names of TRL's SFTConfig). */
export interface LossOptions {
  /**
   * Conversations: only the assistant's turns are trained. Default true. TRL's default is false; training on the user's words
   * as well is rarely meant, and the response-only form is what is recommended for chat data.
   */
  assistantOnlyLoss: boolean;
  /** Prompt-completion rows: only the completion is trained. Default null: true for such rows. Other rows have no completion. */
  completionOnlyLoss: boolean | null;
  /** Only answers are trained: rows of which it cannot be told what the answer is are refused. Default false: they are trained whole. */
  trainOnResponsesOnly?: boolean;
  /** Of a conversation only the last turn of the assistant is trained; other rows as with `trainOnResponsesOnly`. Default false. */
  lastResponseOnly?: boolean;
  /**
   * Loss weight of the tokens that are otherwise not trained: those of the prompt, and of a conversation all that is not a trained
   * turn. A turn whose own weight is 0 keeps that. Default 0.
   */
  promptLossWeight?: number;
  /**
   * The tool calls of a trained turn are trained too. Default true. Otherwise they are context, as the prompt is, and so is what the
   * template writes around them; rows in which no call can be told apart are refused.
   */
  trainOnToolCalls?: boolean;
  /** The reasoning of a trained turn is trained too, likewise. Default true. */
  trainOnReasoning?: boolean;
}

/** How items are encoded. */
export interface EncodeOptions extends LossOptions, LengthOptions {}

/** An item as ids, labels and weights, not yet truncated. */
export interface EncodedItem extends Supervision {
  ids: Int32Array;
  /** Messages; 2 for a pair, 1 for a text. */
  turns: number;
  /** True when a prompt's own ids are not a prefix of the joint ids. */
  prefixMismatch: boolean;
  /** What there may be after the ids, which is cut off in any case: tokens that are trained, or context alone. Absent for nothing. */
  rest?: "trained" | "context";
  /** What training should not pass over in silence. Absent for none. */
  notes?: readonly ConversationNote[];
  /** Of a preference: the answer that is not preferred, the ids of the item being the other one. Absent elsewhere. */
  rejected?: Supervision & { ids: Int32Array };
  /** Of a preference: tokens of the prompt that both answers begin with. Absent elsewhere. */
  promptLength?: number;
}

/** A prompt whose continuation is watched during training. */
export interface SamplePrompt {
  /** The prompt as text. */
  prompt: string;
  /** The prompt as ids, ready for generation. */
  ids: Int32Array;
  /** What the row says the answer is; null when the row does not say. */
  reference: string | null;
}

/** True when ids may be only the start of their item. */
export function isStart(ids: Int32Array, { maxTokens }: LengthOptions): boolean {
  return ids.length === maxTokens;
}

/** Refuses `completionOnlyLoss: true` for items without a completion. */
export function refuseCompletionOnly({ completionOnlyLoss }: LossOptions, kind: string): void {
  if (completionOnlyLoss !== true) return;
  throw new OptionError(
    `[completionOnlyLoss] expected rows with "prompt" and "completion", got ${kind}; leave the option out`,
  );
}

/** Refuses items in which no part of an answer is told apart, where one is not to be trained. */
export function refuseWithoutTurns({ trainOnToolCalls, trainOnReasoning }: LossOptions, kind: string): void {
  if (trainOnToolCalls !== false && trainOnReasoning !== false) return;
  const [option, part] =
    trainOnToolCalls === false ? ["trainOnToolCalls", "its tool calls are"] : ["trainOnReasoning", "its reasoning is"];
  throw new OptionError(
    `[${option}] expected true, or rows that say which part of an answer ${part}, got false and ${kind}; give conversations (messages), or leave the option out: nothing is searched for in a text`,
  );
}

/** Refuses items in which nothing is told to be an answer, where only answers are to be trained. */
export function refuseWithoutResponse({ trainOnResponsesOnly, lastResponseOnly }: LossOptions, kind: string): void {
  if (trainOnResponsesOnly !== true && lastResponseOnly !== true) return;
  const option = trainOnResponsesOnly === true ? "trainOnResponsesOnly" : "lastResponseOnly";
  throw new OptionError(
    `[${option}] expected rows that say which part is the answer, got ${kind}; give conversations (messages) or prompt and completion: what is trained comes from their structure, never from a search in a text`,
  );
}
