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
  /** Token ranges of tool calls inside of `spans`, likewise. Absent where they were not looked for. */
  toolCalls?: Int32Array;
  /** Token ranges of reasoning inside of `spans`, likewise. Absent where it was not looked for. */
  reasoning?: Int32Array;
  /** What training should not pass over in silence. Absent for none. */
  notes?: ConversationNote[];
}

/** Something about a conversation that its owner should know before training. */
export interface ConversationNote {
  /**
   * `notWritten`: the row holds it, the rendered text does not. `controlToken`: a text of the row holds one. `endNotTrained`: the special
   * token that follows the last answer is not one of those the template marks as the assistant's.
   */
  kind: "notWritten" | "controlToken" | "endNotTrained";
  /** The field, or the role of messages, that is not written; the token. */
  name: string;
}

/** How much of each row is encoded. */
export interface LengthOptions {
  /**
   * Ids that are needed of a row. One that has more may come back as exactly that many, where the tokenizer allows to stop early;
   * an assistant's turn after them has an empty range at their end. Default null: all.
   */
  maxTokens?: number | null;
}

/** How conversations are encoded. */
export interface ConversationOptions extends LengthOptions {
  /** Ends with the header of an assistant turn. Default false. */
  addGenerationPrompt?: boolean;
  /**
   * What `strftime_now` of a template takes for the present moment, in seconds since 1970. It is written in local time (`TZ`, else
   * the system's time zone), as transformers does. Default null: the true one.
   */
  moment?: number | null;
  /**
   * Encodes control tokens in the texts of a row as text: special tokens, and added tokens that the template writes. Default false
   * (transformers' `sanitize_control_tokens`).
   */
  sanitizeControlTokens?: boolean;
  /**
   * Finds where in a turn its tool calls stand, with what the template writes around them. A conversation where that cannot be proven
   * rejects with a `TemplateError`. A token that reaches over a border belongs to where it begins. Default false.
   */
  findToolCalls?: boolean;
  /** Finds where in a turn its reasoning stands, likewise; tags around it go with it. Default false. */
  findReasoning?: boolean;
}

/** A prompt and its completion, tokenised jointly, with the end-of-sequence token after the completion. */
export interface EncodedPair {
  ids: Int32Array;
  /** Ids that belong to the prompt and are not trained on. */
  promptLength: number;
  /** True when the prompt's own ids are not a prefix of the joint ids (the boundary then comes from text offsets). */
  prefixMismatch: boolean;
}

/**
 * Door A: text goes in once and comes back as ids. One path serves training and inference. Arrays of one batch may be views of one piece of
 * memory: who keeps a row alone copies it.
 */
export interface Tokenizer {
  readonly info: TokenizerInfo;
  /**
   * Renders with the chat template and tokenises. A conversation that the template refuses, or that has no assistant
   * turn where `addGenerationPrompt` is false, rejects with a `DataError` or `TemplateError` naming its index.
   */
  encodeConversations(
    conversations: readonly Conversation[],
    options?: ConversationOptions,
  ): Promise<EncodedConversation[]>;
  /** Tokenises prompt + completion + end-of-sequence jointly (TRL's prompt-completion format). */
  encodePairs(
    pairs: readonly { prompt: string; completion: string }[],
    options?: LengthOptions,
  ): Promise<EncodedPair[]>;
  /** Tokenises plain texts with the special tokens the tokenizer itself adds. */
  encodeTexts(
    texts: readonly string[],
    options?: LengthOptions & { /** Appends the end-of-sequence token. Default false. */ appendEos?: boolean },
  ): Promise<Int32Array[]>;
  /** The text of ids. */
  decode(
    ids: Int32Array,
    options?: { /** Leaves special tokens out. Default true. */ skipSpecialTokens?: boolean },
  ): string;
  /** The text the chat template gives, for looking at it. */
  render(conversation: Conversation, options?: { addGenerationPrompt?: boolean }): string;
  /**
   * SHA-256 over all that decides ids: vocabulary, steps, special tokens, chat templates, options; the moment where a template asks for
   * it. Hexadecimal.
   */
  fingerprint(options?: ConversationOptions): Promise<string>;
  /** The bytes of a file that keeps ids, mapped into memory: read as they are looked at. What is written to them stays in this process. */
  mapFile(path: string): Promise<Uint8Array>;
}

/** The same tokenizer, whose conversations are encoded with these options where a call says nothing else. */
export function withConversationOptions(tokenizer: Tokenizer, defaults: ConversationOptions): Tokenizer {
  return {
    info: tokenizer.info,
    encodeConversations: (conversations, options) =>
      tokenizer.encodeConversations(conversations, { ...defaults, ...options }),
    encodePairs: (pairs, options) => tokenizer.encodePairs(pairs, options),
    encodeTexts: (texts, options) => tokenizer.encodeTexts(texts, options),
    decode: (ids, options) => tokenizer.decode(ids, options),
    render: (conversation, options) => tokenizer.render(conversation, options),
    fingerprint: (options) => tokenizer.fingerprint({ ...defaults, ...options }),
    mapFile: (path) => tokenizer.mapFile(path),
  };
}
