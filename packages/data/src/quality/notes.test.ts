import type { ConversationNote, Tokenizer } from "@tunesmith/core";
import { expect, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { prepare } from "../prepare/prepare.ts";
import { plainOptions } from "../testing/prepare-rows.ts";

/** A tokenizer that notes of every conversation what `notesOf` says. */
function noting(notesOf: (index: number) => ConversationNote[]): Tokenizer {
  let index = 0;
  const encodeConversations: Tokenizer["encodeConversations"] = async (conversations, given) => {
    const encoded = await letterTokenizer.encodeConversations(conversations, given);
    return encoded.map((entry) => ({ ...entry, notes: notesOf(index++) }));
  };
  return { ...letterTokenizer, encodeConversations };
}

const row = (extra: object = {}, turn: object = {}) => ({
  messages: [
    { role: "user", content: "a" },
    { role: "assistant", content: "b", ...turn },
  ],
  ...extra,
});

test("what is not written and control tokens are counted with the first lines", async () => {
  const notes = (index: number): ConversationNote[] => [
    { kind: "notWritten", name: "tools" },
    ...(index % 2 === 1 ? [{ kind: "controlToken", name: "<end>" } as const] : []),
  ];
  const { report } = await prepare(new Array(12).fill(row({ tools: [{}] })), noting(notes), plainOptions);
  expect(report.notWritten).toEqual([{ name: "tools", rows: 12, lines: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }]);
  expect(report.controlTokens).toEqual([{ name: "<end>", rows: 6, lines: [2, 4, 6, 8, 10, 12] }]);
  const silent = await prepare([row()], letterTokenizer, plainOptions);
  expect([silent.report.notWritten, silent.report.controlTokens]).toEqual([[], []]);
});

test("a field is named as the row has it", async () => {
  const names = ["tools", "tool_calls", "reasoning_content", 'messages of role "tool"'];
  const notes = () => names.map((name): ConversationNote => ({ kind: "notWritten", name }));
  const named = async (given: Record<string, unknown>) => {
    const { report } = await prepare([given], noting(notes), plainOptions);
    return report.notWritten.map(({ name }) => name);
  };
  expect(await named(row({ tools: [] }, { tool_calls: [], thinking: "c" }))).toEqual([
    "tools",
    "tool_calls",
    "thinking",
    'messages of role "tool"',
  ]);
  const legacy = row({ functions: [{}], tools: null }, { function_call: {}, tool_calls: null, reasoning: "c" });
  expect(await named(legacy)).toEqual(["functions", "function_call", "reasoning", 'messages of role "tool"']);
});

test("a token beyond the model's embedding is refused with its row", async () => {
  const rows = [row(), row({}, { content: "z" })];
  await expect(prepare(rows, letterTokenizer, { ...plainOptions, vocabSize: 131 })).rejects.toThrow(
    /rows:1: expected tokens below 131, the rows of the model's embedding, got "<131>" with the id 131/u,
  );
  const text = [{ text: "ab" }, { text: "az" }];
  await expect(
    prepare(text, { ...letterTokenizer, encodeTexts: codesOnly }, { ...plainOptions, vocabSize: 122 }),
  ).rejects.toThrow(/rows:2: .* got "z" with the id 122/u);
  expect((await prepare(rows, letterTokenizer, { ...plainOptions, vocabSize: 132 })).examples).toHaveLength(2);
});

const codesOnly: Tokenizer["encodeTexts"] = async (texts) =>
  texts.map((text) => Int32Array.from(text, (letter) => letter.charCodeAt(0)));
