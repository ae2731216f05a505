// A row as an audit sees it: its turns as text, also where training could not use it.
import { asObject, type Message, textOf } from "@tunesmith/core";
import type { ConversationItem } from "../encode/conversation.ts";
import type { Item } from "../encode/item.ts";
import type { PairItem } from "../encode/pair.ts";
import type { Row } from "../sources/row.ts";

/** A turn as text. */
export interface AuditTurn {
  /** As in the row; `user` and `assistant` for prompts and completions, `text` for plain text. */
  role: string;
  /** Empty where it has none. */
  text: string;
  /** Whether it does something else than say a text: calls a tool, refuses. */
  acts: boolean;
}

/** A row as an audit sees it. */
export interface AuditRow {
  /** Place in the data set, from 0. */
  index: number;
  /** `FILE:LINE`, or the place in the list. */
  place: string;
  line: number;
  /** Name of the format of its columns; null where they are of none. */
  format: string | null;
  /** What keeps it from being trained on; null for nothing. */
  problem: string | null;
  fields: Row["fields"];
  turns: readonly AuditTurn[];
}

/** Texts of the assistant, or the text that is trained where there are no roles. */
export function answersOf({ turns }: AuditRow): string[] {
  return turns.filter(({ role, acts }) => (role === "assistant" && !acts) || role === "text").map(({ text }) => text);
}

/** The last answer; null where there is none. */
export function lastAnswer(row: AuditRow): string | null {
  return answersOf(row).at(-1) ?? null;
}

/** What the user says first; empty where no turn is the user's. */
export function firstPrompt({ turns }: AuditRow): string {
  return turns.find(({ role }) => role === "user")?.text ?? "";
}

/** All that is said, without the system's words, which are often the same in all rows. */
export function saidIn({ turns }: AuditRow): string {
  return turns
    .filter(({ role }) => role !== "system" && role !== "developer")
    .map(({ text }) => text)
    .join("\n");
}

/** The text in lower case with each run of white space as one space. */
export function normalized(text: string): string {
  return text.toLowerCase().replaceAll(/\s+/gu, " ").trim();
}

/** Everything before the last answer, as it is compared; empty where nothing is asked. */
export function promptOf({ turns }: AuditRow): string {
  const last = turns.findLastIndex(({ role }) => role === "assistant");
  const before = turns.slice(0, Math.max(0, last));
  if (!before.some(({ text }) => text.trim() !== "")) return "";
  return before.map(({ role, text }) => `${role}: ${normalized(text)}`).join("\n");
}

/** Turns of what a format made of a row. */
export function turnsOfItem({ value }: Item): AuditTurn[] {
  if (typeof value === "string") return [{ role: "text", text: value, acts: false }];
  const { conversation } = value as Partial<ConversationItem>;
  if (conversation !== undefined) return conversation.messages.map(turnOfMessage);
  const { prompt, completion } = value as Partial<PairItem>;
  if (typeof prompt !== "string" || typeof completion !== "string") return [];
  return [
    { role: "user", text: prompt, acts: false },
    { role: "assistant", text: completion, acts: false },
  ];
}

function turnOfMessage(message: Message): AuditTurn {
  const acts = ["tool_calls", "function_call", "refusal"].some((name) => (message[name] ?? null) !== null);
  return { role: message.role, text: textOf(message) ?? "", acts };
}

/** Roles by the names that ShareGPT has for them. */
const otherNames: Readonly<Record<string, string>> = { human: "user", gpt: "assistant", bot: "assistant" };

/** Turns of a row that no format can read, as far as they can be made out. */
export function turnsOfFields(fields: Row["fields"]): AuditTurn[] {
  const list = [fields.messages, fields.conversations, fields.conversation].find(Array.isArray) as
    | unknown[]
    | undefined;
  if (list === undefined) return turnsOfPair(fields);
  return list.map((entry) => {
    const turn = asObject(entry) ?? {};
    const role = turn.role ?? turn.from;
    const text = turn.content ?? turn.value;
    const name = typeof role === "string" ? role : "";
    const acts = turn.tool_calls !== undefined || turn.function_call !== undefined;
    return { role: otherNames[name] ?? name, text: typeof text === "string" ? text : "", acts };
  });
}

/** Columns of a prompt and its answer, by the formats that have them. */
const pairs = [
  ["prompt", "completion"],
  ["instruction", "output"],
] as const;

function turnsOfPair(fields: Row["fields"]): AuditTurn[] {
  const [asked, answered] = pairs.find((columns) => columns.every((column) => Object.hasOwn(fields, column))) ?? [];
  if (asked === undefined || answered === undefined) return [];
  const text = (column: string) => (typeof fields[column] === "string" ? fields[column] : "");
  return [
    { role: "user", text: text(asked), acts: false },
    { role: "assistant", text: text(answered), acts: false },
  ];
}
