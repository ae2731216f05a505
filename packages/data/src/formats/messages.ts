// Rows of conversations: a column `messages`.
import {
  ArgumentError,
  asNumber,
  asObject,
  type Conversation,
  type Message,
  messageRoles,
  nearestName,
  parseExact,
} from "@tunesmith/core";
import { type ConversationItem, conversationKind } from "../encode/conversation.ts";
import type { Item } from "../encode/item.ts";
import type { Row } from "../sources/rows.ts";
import { describe, type Format, RowError, wellFormed } from "./format.ts";

/**
 * Conversations: a column `messages` of `{ role, content }` as in OpenAI's and Hugging Face's chat formats, with optional
 * columns `tools` (array, or an array written as a JSON string) and `chat_template_kwargs`.
 */
export const messages: Format = {
  name: "messages",
  columns: () => ["messages"],
  optionalColumns: ["tools", "chat_template_kwargs"],
  read(row) {
    const turns = readMessages(row.fields.messages, "messages");
    requireAssistant(turns);
    return conversationItem(turns, row, 0);
  },
};

/**
 * A row's conversation, with its columns `tools` and `chat_template_kwargs`.
 *
 * @param completionStart first message that belongs to the completion; 0 where a row names none
 */
export function conversationItem(turns: Message[], row: Row, completionStart: number): Item<ConversationItem> {
  return { kind: conversationKind, value: { conversation: withExtras(turns, row), completionStart } };
}

const roles: readonly string[] = messageRoles;

/** What the turns are called elsewhere. */
const otherNames = new Map([
  ["human", "user"],
  ["gpt", "assistant"],
  ["model", "assistant"],
  ["bot", "assistant"],
  ["ai", "assistant"],
]);

/** Checks a list of messages. An assistant turn with `weight: 0` or `train: false` is context only. */
export function readMessages(value: unknown, column: string): Message[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw new RowError(
      `expected a list of messages in column "${column}", got ${describe(value)}; give each turn as { role, content }`,
    );
  }
  return value.map((entry: unknown, index) => readMessage(entry, `${column}[${index}]`));
}

/** The same for a conversation that a program gives: what is wrong with it is an `ArgumentError`. */
export function checkedMessages(value: unknown, place: string): Message[] {
  try {
    return readMessages(value, place);
  } catch (error) {
    if (error instanceof RowError) throw new ArgumentError(`[${place}] ${error.message}`, { cause: error });
    throw error;
  }
}

function readMessage(value: unknown, place: string): Message {
  const fields = asObject(value);
  if (fields === null)
    throw new RowError(`expected { role, content } in ${place}, got ${describe(value)}; correct or remove it`);
  const { role, content = null, train } = fields;
  if (typeof role !== "string" || !roles.includes(role)) {
    const got = typeof role === "string" ? JSON.stringify(role) : describe(role);
    const nearest = typeof role === "string" ? (otherNames.get(role) ?? nearestName(role, roles)) : null;
    const advice = nearest === null ? "rename it" : `did you mean "${nearest}"?`;
    throw new RowError(`expected a role in ${place}, one of ${roles.join(", ")}, got ${got}; ${advice}`);
  }
  if (content === null) {
    if (!Array.isArray(fields.tool_calls))
      throw new RowError(`expected text in ${place}.content, got null without tool_calls; add the text`);
  } else if (typeof content !== "string") {
    throw new RowError(`expected text in ${place}.content, got ${describe(content)}; write it as one text`);
  } else {
    wellFormed(content, `${place}.content`);
  }
  if (train !== undefined && typeof train !== "boolean")
    throw new RowError(`expected true or false in ${place}.train, got ${describe(train)}; correct it or leave it out`);
  const weight = readWeight(fields.weight, place);
  const message: Message = { ...fields, role, content };
  return train === false || weight === 0 ? { ...message, train: false } : message;
}

/** 0 or 1, however the number is written; absent where a table writer gave null. */
function readWeight(value: unknown, place: string): number | null {
  const weight = asNumber(value);
  if (weight === 0 || weight === 1) return weight;
  if (value === undefined || value === null) return null;
  const got = weight === null ? describe(value) : String(value);
  throw new RowError(`expected 0 or 1 in ${place}.weight, got ${got}; correct it or leave it out`);
}

/** A row without an assistant turn has nothing to learn from. */
export function requireAssistant(turns: readonly Message[]): void {
  if (turns.some((turn) => turn.role === "assistant")) return;
  const roles = turns.map((turn) => turn.role).join(", ");
  throw new RowError(
    `expected an assistant turn to learn from, got the roles ${roles}; add the answer or remove the row`,
  );
}

function withExtras(turns: Message[], row: Row): Conversation {
  const conversation: Conversation = { messages: turns };
  const tools = row.fields.tools ?? null;
  if (tools !== null) conversation.tools = readTools(tools);
  const kwargs = row.fields.chat_template_kwargs ?? null;
  if (kwargs !== null) {
    const given = asObject(kwargs);
    if (given === null)
      throw new RowError(
        `expected an object in column "chat_template_kwargs", got ${describe(kwargs)}; correct or remove the column`,
      );
    conversation.chatTemplateKwargs = given;
  }
  return conversation;
}

function readTools(value: unknown): unknown[] {
  let parsed = value;
  if (typeof value === "string") {
    try {
      parsed = parseExact(value);
    } catch (cause) {
      throw new RowError(
        `expected a JSON array in column "tools", got text that is not JSON: ${(cause as Error).message}; correct or remove the column`,
      );
    }
  }
  if (!Array.isArray(parsed))
    throw new RowError(`expected an array in column "tools", got ${describe(parsed)}; correct or remove the column`);
  return parsed;
}
