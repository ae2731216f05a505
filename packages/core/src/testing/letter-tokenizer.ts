// A tokenizer of one id per letter, for tests without a binary.
import { readFile } from "node:fs/promises";
import { type Conversation, textOf } from "../conversation.ts";
import { DataError, TemplateError } from "../errors.ts";
import type { EncodedConversation, Tokenizer } from "../tokenizer.ts";

/** Ids are ASCII codes; four more mark turns and ends. */
export const letterVocab = 132;
/** Ends a turn. */
export const endOfTurn = 131;
const header = new Map([
  ["system", 128],
  ["user", 129],
  ["assistant", 130],
]);

/** Ids of a text: one per letter, its ASCII code. */
export function codes(text: string): number[] {
  return Array.from(text, (letter) => Math.min(letter.charCodeAt(0), 127));
}

/** A tokenizer of one id per letter whose template writes `ROLE text END` per turn; it refuses the role `tool` and a text "broken". */
export const letterTokenizer: Tokenizer = {
  info: {
    vocabSize: letterVocab,
    bosToken: null,
    eosToken: { id: endOfTurn, content: "<end>" },
    padToken: null,
    chatTemplate: "letters",
    chatTemplateSha256: "00",
    hasGenerationTags: true,
  },
  encodeConversations: async (conversations, { addGenerationPrompt = false } = {}) =>
    conversations.map((conversation, index) => encode(conversation, index, addGenerationPrompt)),
  encodePairs: async (pairs) =>
    pairs.map(({ prompt, completion }) => ({
      ids: Int32Array.from([...codes(prompt), ...codes(completion), endOfTurn]),
      promptLength: prompt.length,
      // As if a space and the letter after it were one token.
      prefixMismatch: prompt.endsWith(" "),
    })),
  encodeTexts: async (texts, { appendEos = false } = {}) =>
    texts.map((text) => Int32Array.from([...codes(text), ...(appendEos ? [endOfTurn] : [])])),
  decode: (ids, { skipSpecialTokens = true } = {}) =>
    Array.from(ids, (id) => (id < 128 ? String.fromCharCode(id) : skipSpecialTokens ? "" : `<${id}>`)).join(""),
  fingerprint: async (options) => `letters${JSON.stringify(options)}`,
  mapFile: (path) => readFile(path),
  render: ({ messages }) => messages.map((message) => `<${message.role}>${textOf(message) ?? ""}<end>`).join(""),
};

function encode({ messages }: Conversation, index: number, addGenerationPrompt: boolean): EncodedConversation {
  const ids: number[] = [];
  const spans: number[] = [];
  const turns: number[] = [];
  for (const [turn, message] of messages.entries()) {
    const { role } = message;
    const content = textOf(message);
    const id = header.get(role);
    if (id === undefined) throw new TemplateError(`[conversation ${index}] expected a known role, got "${role}"`);
    if (content === "broken") throw new DataError(`[conversation ${index}] expected another text, got "broken"`);
    ids.push(id);
    const start = ids.length;
    ids.push(...codes(content ?? ""), endOfTurn);
    if (role !== "assistant") continue;
    spans.push(start, ids.length);
    turns.push(turn);
  }
  if (addGenerationPrompt) ids.push(130);
  return { ids: Int32Array.from(ids), spans: Int32Array.from(spans), turns: Int32Array.from(turns) };
}
