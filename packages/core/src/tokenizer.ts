// Door A: text in, ids and spans out, as an interface.
import type { Conversation } from "./conversation.ts";

/** A special token of a tokenizer. */
export interface SpecialToken {
  id: number;
  content: string;
}

/** What is known of a tokenizer without encoding anything. */
export interface TokenizerInfo {
  vocabSize: number;
  bosToken: SpecialToken | null;
  eosToken: SpecialToken | null;
  padToken: SpecialToken | null;
  /** The Jinja chat template, or null for a base model without one. */
  chatTemplate: string | null;
  /** SHA-256 of the template, hexadecimal: equal hashes in training and serving mean equal prompts. */
  chatTemplateSha256: string | null;
  /** True when the template marks assistant text with `{% generation %}` tags. */
  hasGenerationTags: boolean;
}

/** A conversation as token ids. */
export interface EncodedConversation {
  ids: Int32Array;
  /** Token ranges written by the assistant: start (inclusive), end (exclusive), start, end, … in order. */
  spans: Int32Array;
  /** Index in `messages` of the turn each range belongs to; half as long as `spans`. */
  turns: Int32Array;
}

/** A prompt and its completion, tokenised jointly, with the end-of-sequence token after the completion. */
export interface EncodedPair {
  ids: Int32Array;
  /** Ids that belong to the prompt and are not trained on. */
  promptLength: number;
  /** True when the prompt's own ids are not a prefix of the joint ids (the boundary then comes from text offsets). */
  prefixMismatch: boolean;
}

/** Door A: text goes in once and comes back as ids. One path serves training and inference. */
export interface Tokenizer {
  readonly info: TokenizerInfo;
  /**
   * Renders with the chat template and tokenises. A conversation that the template refuses, or that has no assistant
   * turn where `addGenerationPrompt` is false, rejects with a `DataError` or `TemplateError` naming its index.
   */
  encodeConversations(
    conversations: readonly Conversation[],
    options?: { /** Ends with the header of an assistant turn. Default false. */ addGenerationPrompt?: boolean },
  ): Promise<EncodedConversation[]>;
  /** Tokenises prompt + completion + end-of-sequence jointly (TRL's prompt-completion format). */
  encodePairs(pairs: readonly { prompt: string; completion: string }[]): Promise<EncodedPair[]>;
  /** Tokenises plain texts with the special tokens the tokenizer itself adds. */
  encodeTexts(
    texts: readonly string[],
    options?: { /** Appends the end-of-sequence token. Default false. */ appendEos?: boolean },
  ): Promise<Int32Array[]>;
  /** The text of ids. */
  decode(
    ids: Int32Array,
    options?: { /** Leaves special tokens out. Default true. */ skipSpecialTokens?: boolean },
  ): string;
  /** The text the chat template gives, for looking at it. */
  render(conversation: Conversation, options?: { addGenerationPrompt?: boolean }): string;
}
