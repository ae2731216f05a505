// Rows of conversations: a column `messages`.
import { ArgumentError, asObject, type Conversation, type Message } from "@tunesmith/core";
import { type ConversationItem, conversationKind } from "../encode/conversation.ts";
import type { Item } from "../encode/item.ts";
import type { Row } from "../sources/rows.ts";
import { describe, entriesOf, type Format, isFilled, listOrText, parsed, RowError } from "./format.ts";
import { readMessage } from "./message.ts";
import { readTools, toolColumns } from "./tools.ts";

/**
 * Conversations: a column `messages` of `{ role, content }` as in OpenAI's and Hugging Face's chat formats, with optional
 * columns `tools` (array, or an array written as a JSON string), `functions` (the same in OpenAI's older format) and
 * `chat_template_kwargs`.
 */
export const messages: Format = {
  name: "messages",
  columns: () => ["messages"],
  optionalColumns: [...toolColumns, "chat_template_kwargs"],
  read(row) {
    const turns = readMessages(row.fields.messages, "messages");
    requireAssistant(turns);
    return conversationItem(turns, row, 0);
  },
};

/**
 * A row's conversation, with its tools and `chat_template_kwargs`.
 *
 * @param completionStart first message that belongs to the completion; 0 where a row names none
 */
export function conversationItem(turns: Message[], row: Row, completionStart: number): Item<ConversationItem> {
  return { kind: conversationKind, value: { conversation: withExtras(turns, row), completionStart } };
}

/** Checks a list of messages. An assistant turn with `weight: 0` or `train: false` is context only. */
export function readMessages(given: unknown, column: string): Message[] {
  const value = listOrText(given, column);
  if (!Array.isArray(value) || value.length === 0) {
    throw new RowError(
      `expected a list of messages in column "${column}", got ${describe(value)}; give each turn as { role, content }`,
    );
  }
  return entriesOf(value, (entry, index) => readMessage(entry, `${column}[${index}]`));
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

/** A row without an assistant turn has nothing to learn from. */
export function requireAssistant(turns: readonly Message[]): void {
  if (turns.some((turn) => turn.role === "assistant")) return;
  const roles = [...new Set(turns.map((turn) => turn.role))].join(", ");
  throw new RowError(
    `expected an assistant turn to learn from, got the roles ${roles}; add the answer or remove the row`,
  );
}

function withExtras(turns: Message[], row: Row): Conversation {
  const conversation: Conversation = { messages: turns };
  const tools = readTools(row);
  if (tools !== null) conversation.tools = tools;
  const kwargs = row.fields.chat_template_kwargs;
  if (isFilled(kwargs)) {
    const given = asObject(
      typeof kwargs === "string" ? parsed(kwargs, 'column "chat_template_kwargs"', "a JSON object") : kwargs,
    );
    if (given === null)
      throw new RowError(
        `expected an object in column "chat_template_kwargs", got ${describe(kwargs)}; correct or remove the column`,
      );
    conversation.chatTemplateKwargs = given;
  }
  return conversation;
}
