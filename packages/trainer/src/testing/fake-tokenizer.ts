// A tokenizer of one id per letter, for tests without a binary.
import { type Conversation, DataError, type EncodedConversation, type Tokenizer } from "@tunesmith/core";

/** Ids are ASCII codes; four more mark turns and ends. */
export const vocab = 132;
const header: Readonly<Record<string, number>> = { system: 128, user: 129, assistant: 130 };
/** Ends a turn. */
export const end = 131;

const codes = (text: string) => Array.from(text, (letter) => Math.min(letter.charCodeAt(0), 127));

/** A tokenizer of one id per letter and a template of `ROLE text END` per turn, for tests without a binary. */
export const fakeTokenizer: Tokenizer = {
  info: {
    vocabSize: vocab,
    bosToken: null,
    eosToken: { id: end, content: "<end>" },
    padToken: null,
    chatTemplate: "fake",
    chatTemplateSha256: "00",
    hasGenerationTags: true,
  },
  encodeConversations: async (conversations, { addGenerationPrompt = false } = {}) =>
    conversations.map((conversation, index) => encodeConversation(conversation, index, addGenerationPrompt)),
  encodePairs: async (pairs) =>
    pairs.map(({ prompt, completion }) => {
      const ids = Int32Array.from([...codes(prompt), ...codes(completion), end]);
      // As if a space and the letter before it were one token.
      return { ids, promptLength: prompt.length, prefixMismatch: prompt.endsWith(" ") };
    }),
  encodeTexts: async (texts, { appendEos = false } = {}) =>
    texts.map((text) => Int32Array.from([...codes(text), ...(appendEos ? [end] : [])])),
  decode: (ids, { skipSpecialTokens = true } = {}) =>
    Array.from(ids, (id) => (id < 128 ? String.fromCharCode(id) : skipSpecialTokens ? "" : `<${id}>`)).join(""),
  render: (conversation) => conversation.messages.map(({ role, content }) => `<${role}>${content ?? ""}<end>`).join(""),
};

function encodeConversation(
  { messages }: Conversation,
  index: number,
  addGenerationPrompt: boolean,
): EncodedConversation {
  const ids: number[] = [];
  const spans: number[] = [];
  const turns: number[] = [];
  for (const [turn, { role, content }] of messages.entries()) {
    const id = header[role];
    if (id === undefined)
      throw new DataError(`[conversation ${index}] expected a role the template knows, got "${role}"`);
    ids.push(id);
    const start = ids.length;
    ids.push(...codes(content ?? ""), end);
    if (role !== "assistant") continue;
    spans.push(start, ids.length);
    turns.push(turn);
  }
  if (addGenerationPrompt) ids.push(130);
  return { ids: Int32Array.from(ids), spans: Int32Array.from(spans), turns: Int32Array.from(turns) };
}
