// Rows of two answers, one of which is preferred.
import { isDeepStrictEqual } from "node:util";
import { asObject, type Message } from "@tunesmith/core";
import type { Item } from "../encode/item.ts";
import { pairKind } from "../encode/pair.ts";
import { type PreferenceItem, preferenceKind } from "../encode/preference.ts";
import type { Row } from "../sources/rows.ts";
import { describe, type Format, RowError, stringField } from "./format.ts";
import { conversationItem, messages, readMessages, requireAssistant } from "./messages.ts";

/**
 * Columns `chosen` and `rejected`, and `prompt` where the answers do not begin with it (TRL's preference): texts, or lists of messages.
 * Without a prompt, or where it is a text beside answers of messages, the longest common start of both answers is the prompt.
 */
export const preference: Format = {
  name: "preference",
  task: "preference",
  columns: () => ["chosen", "rejected"],
  optionalColumns: ["prompt", ...messages.optionalColumns],
  read(row) {
    const { prompt = null } = row.fields;
    const [chosen, rejected] = [listOf(row.fields.chosen), listOf(row.fields.rejected)];
    if (Array.isArray(chosen) !== Array.isArray(rejected))
      throw new RowError(
        `expected "chosen" and "rejected" of one kind, got ${describe(chosen)} and ${describe(rejected)}; give two texts or two lists of messages`,
      );
    if (!Array.isArray(chosen)) return textPreference(row, prompt);
    const answers = { chosen: readMessages(chosen, "chosen"), rejected: readMessages(rejected, "rejected") };
    // As in TRL, a text says nothing that the messages do not.
    const context = Array.isArray(prompt) ? readMessages(prompt, "prompt") : null;
    return messagePreference(context, answers, row);
  },
};

/** Two lists of answers as an item. Null for a prompt that both lists begin with. */
export function messagePreference(
  prompt: Message[] | null,
  { chosen, rejected }: Readonly<Record<"chosen" | "rejected", Message[]>>,
  row: Row,
): Item<PreferenceItem> {
  if (isDeepStrictEqual(chosen, rejected)) throw sameAnswers();
  const shared = prompt === null ? commonStart(chosen, rejected, isDeepStrictEqual) : 0;
  const context = prompt ?? chosen.slice(0, shared);
  const whole = (answer: Message[]) => {
    const own = answer.slice(shared);
    requireAssistant(own);
    return conversationItem([...context, ...own], row, context.length);
  };
  return { kind: preferenceKind, value: { chosen: whole(chosen), rejected: whole(rejected) } };
}

function textPreference({ fields }: Row, prompt: unknown): Item<PreferenceItem> {
  if (Array.isArray(prompt))
    throw new RowError(
      'expected "prompt" as a text beside two texts, got an array; give the answers as lists of messages too',
    );
  const [chosen, rejected] = [stringField(fields, "chosen"), stringField(fields, "rejected")];
  if (chosen === rejected) throw sameAnswers();
  const shared = prompt === null ? sharedText(chosen, rejected) : 0;
  const context = prompt === null ? chosen.slice(0, shared) : stringField(fields, "prompt");
  const pair = (answer: string) => ({ kind: pairKind, value: { prompt: context, completion: answer.slice(shared) } });
  return { kind: preferenceKind, value: { chosen: pair(chosen), rejected: pair(rejected) } };
}

/** One message, as LLaMA-Factory writes an answer, is a list of one. */
function listOf(value: unknown): unknown {
  return asObject(value) === null ? value : [value];
}

/** Length of the text that is the prompt of both: whole characters, without a space at its end, which belongs to the answers. */
function sharedText(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  const count = commonStart(left, right, Object.is);
  const prompt = left.slice(0, left[count - 1] === " " ? count - 1 : count);
  return prompt.join("").length;
}

/** How many entries two lists have in common at their start; at least one of each is left for its answer. */
function commonStart<T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): number {
  const most = Math.max(0, Math.min(a.length, b.length) - 1);
  const differing = a.slice(0, most).findIndex((entry, index) => !same(entry, b[index] as T));
  return differing === -1 ? most : differing;
}

function sameAnswers(): RowError {
  return new RowError('expected two answers to compare, got the same as "chosen" and "rejected"; remove the row');
}
