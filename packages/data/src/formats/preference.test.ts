import { DataError, OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import type { ConversationItem } from "../encode/conversation.ts";
import type { PairItem } from "../encode/pair.ts";
import type { PreferenceItem } from "../encode/preference.ts";
import type { PromptItem } from "../encode/prompt-only.ts";
import { prepareRows, trainedTexts } from "../testing/prepare-rows.ts";
import type { Task } from "./format.ts";
import { ItemReader } from "./item-reader.ts";

/** A row as a trainer for its task reads it. */
function read(fields: Record<string, unknown>, task: Task = "preference") {
  const reader = new ItemReader({ datasetFormat: "auto", datasetTextField: "text", task, hasChatTemplate: true });
  return reader.read({ fields, source: "rows", line: 1, size: 0 });
}

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });

async function pairs(fields: Record<string, unknown>): Promise<string[]> {
  const { chosen, rejected } = (await read(fields)).value as PreferenceItem;
  const [a, b] = [chosen.value as PairItem, rejected.value as PairItem];
  expect(b.prompt).toBe(a.prompt);
  return [a.prompt, a.completion, b.completion];
}

/** Number of the prompt's messages, and the texts of both conversations. */
async function chats(fields: Record<string, unknown>): Promise<[number, string, string]> {
  const { chosen, rejected } = (await read(fields)).value as PreferenceItem;
  const [a, b] = [chosen.value as ConversationItem, rejected.value as ConversationItem];
  expect(b.completionStart).toBe(a.completionStart);
  const text = ({ conversation }: ConversationItem) => conversation.messages.map(({ content }) => content).join(" ");
  return [a.completionStart, text(a), text(b)];
}

test("texts: with a prompt, and with the one that both answers begin with", async () => {
  expect(await pairs({ prompt: "p", chosen: " a", rejected: " b" })).toEqual(["p", " a", " b"]);
  // The space before the answers belongs to them, as in TRL.
  expect(await pairs({ chosen: "The sky is blue.", rejected: "The sky is green." })).toEqual([
    "The sky is",
    " blue.",
    " green.",
  ]);
  expect(await pairs({ chosen: "ab", rejected: "cd" })).toEqual(["", "ab", "cd"]);
  // Each answer keeps a character, and a character is never cut in two.
  expect(await pairs({ chosen: "ab", rejected: "abc" })).toEqual(["a", "b", "bc"]);
  expect(await pairs({ chosen: "x\u{1f600}", rejected: "x\u{1f601}" })).toEqual(["x", "\u{1f600}", "\u{1f601}"]);
});

test("messages: with a prompt, with the messages that both begin with, and with a text that says no more", async () => {
  const [chosen, rejected] = [[assistant("b")], [assistant("c")]];
  expect(await chats({ prompt: [user("a")], chosen, rejected })).toEqual([1, "a b", "a c"]);
  const whole = { chosen: [user("a"), ...chosen], rejected: [user("a"), ...rejected] };
  expect(await chats(whole)).toEqual([1, "a b", "a c"]);
  expect(await chats({ prompt: "a", ...whole })).toEqual([1, "a b", "a c"]);
  expect(await chats({ prompt: [user("a")], chosen: chosen[0], rejected: rejected[0] })).toEqual([1, "a b", "a c"]);
  const turns = [{ from: "human", value: "a" }];
  expect(await chats({ prompt: turns, chosen: { from: "gpt", value: "b" }, rejected })).toEqual([1, "a b", "a c"]);
});

test("OpenAI's preference rows, with the tools of their input", async () => {
  const row = {
    input: { messages: [user("a")], tools: [{ type: "function" }], parallel_tool_calls: true },
    preferred_output: [assistant("b")],
    non_preferred_output: [assistant("c")],
  };
  expect(await chats(row)).toEqual([1, "a b", "a c"]);
  const { chosen } = (await read(row)).value as PreferenceItem;
  expect((chosen.value as ConversationItem).conversation.tools).toEqual([{ type: "function" }]);
  await expect(read({ ...row, input: [] })).rejects.toThrow(/expected \{ messages \} in column "input", got an empty/u);
  await expect(read({ ...row, input: {} })).rejects.toThrow(/in column "input.messages", got nothing/u);
  await expect(read({ ...row, preferred_output: "b" })).rejects.toThrow(/in column "preferred_output", got a string/u);
});

test.each<[object, RegExp]>([
  [{ chosen: "a", rejected: "a" }, /two answers to compare, got the same/u],
  [{ chosen: [assistant("a")], rejected: [assistant("a")] }, /two answers to compare, got the same/u],
  [{ chosen: "a", rejected: [assistant("b")] }, /"chosen" and "rejected" of one kind, got a string and an array/u],
  [{ chosen: 1, rejected: "b" }, /expected a string in column "chosen", got a number/u],
  [{ chosen: "a", rejected: null }, /expected a string in column "rejected", got null/u],
  [{ prompt: 1, chosen: "a", rejected: "b" }, /expected a string in column "prompt", got a number/u],
  [{ prompt: [user("p")], chosen: "a", rejected: "b" }, /expected "prompt" as a text beside two texts/u],
  [{ chosen: [user("a"), user("b")], rejected: [user("a"), assistant("c")] }, /an assistant turn .* the roles user;/u],
  [{ chosen: [{ role: "x" }], rejected: [assistant("c")] }, /expected a role in chosen\[0\]/u],
])("%j is refused", async (row, message) => {
  await expect(read(row as Record<string, unknown>)).rejects.toThrow(message);
});

test("a preference's prompt can be watched during training", async () => {
  const { kind, value } = await read({ prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("c")] });
  expect(await kind.prompt(value, letterTokenizer)).toMatchObject({ prompt: "a", reference: "b" });
  const [encoded] = await kind.encode([value], letterTokenizer, { assistantOnlyLoss: true, completionOnlyLoss: null });
  const answers = [encoded, encoded?.rejected].map((one) => one?.labels.filter((label) => label >= 0).length);
  // A letter and the end of the turn.
  expect(answers).toEqual([2, 2]);
  expect(encoded?.ids.subarray(0, encoded.promptLength)).toEqual(
    encoded?.rejected?.ids.subarray(0, encoded.promptLength),
  );
});

test("prompts alone, as text or as messages", async () => {
  const text = await read({ prompt: "p", answer: "4" }, "prompts");
  expect(await text.kind.prompt(text.value, letterTokenizer)).toMatchObject({ prompt: "p", reference: null });
  const chat = await read({ prompt: [user("a")], tools: [] }, "prompts");
  expect(chat.value as PromptItem).toEqual({ messages: [user("a")], tools: [] });
  expect((await chat.kind.prompt(chat.value, letterTokenizer))?.ids).toHaveLength(4);
  await expect(read({ prompt: 1 }, "prompts")).rejects.toThrow(/a string in column "prompt", got a number/u);
  await expect(read({ prompt: [] }, "prompts")).rejects.toThrow(/a list of messages in column "prompt"/u);
});

test("supervised fine-tuning says once what preference rows and prompts are for", async () => {
  const rows = new Array(20).fill({ prompt: "p", chosen: "a", rejected: "b" });
  const run = prepareRows(rows);
  await expect(run).rejects.toThrow(DataError);
  await expect(run).rejects.toThrow(
    /^\[data\] rows:1: expected rows for supervised fine-tuning, got rows of the format "preference", which is for preference optimization \(DPO\); to learn the chosen answers alone, .*columns: \{ completion: "chosen" \}/u,
  );
  await expect(prepareRows([{ prompt: "p", answer: "a" }])).rejects.toThrow(
    /"prompt-only".*columns: \{ completion: "answer" \}/u,
  );
  const forced = prepareRows(rows, { datasetFormat: "preference" });
  await expect(forced).rejects.toThrow(OptionError);
  await expect(forced).rejects.toThrow(/^\[datasetFormat\] expected a format for supervised .* got "preference".*DPO/u);
  // What the errors advise.
  expect(await trainedTexts(rows.slice(0, 1), { columns: { completion: "chosen" } })).toEqual(["_a$"]);
  const whole = { chosen: [user("a"), assistant("b")], rejected: [user("a"), assistant("c")] };
  expect(await trainedTexts([whole], { columns: { messages: "chosen" } })).toEqual(["____b$"]);
  expect(await trainedTexts([{ ...whole, messages: whole.chosen }])).toEqual(["____b$"]);
});
