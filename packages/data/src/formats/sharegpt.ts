// Rows of conversations as ShareGPT and LLaMA-Factory write them: a column `conversations`.
import { asObject, type Message } from "@tunesmith/core";
import type { ConversationItem } from "../encode/conversation.ts";
import type { Item } from "../encode/item.ts";
import { type Format, isFilled, RowError, stringField } from "./format.ts";
import { conversationItem, messages, readMessages, requireAssistant } from "./messages.ts";

/**
 * Conversations: a column `conversations` of `{ from, value }`, or of `{ role, content }`, with optional columns `system` (text of a
 * first turn) and `tools` (JSON text; functions without their envelope get it), as LLaMA-Factory has them.
 */
export const sharegpt: Format = {
  name: "sharegpt",
  columns: () => ["conversations"],
  optionalColumns: ["system", ...messages.optionalColumns],
  read(row) {
    const turns = withSystem(readMessages(row.fields.conversations, "conversations"), row.fields);
    requireAssistant(turns);
    return withEnvelopes(conversationItem(turns, row, 0));
  },
};

/** The conversation with each of its tools as chat templates take it. */
export function withEnvelopes(item: Item<ConversationItem>): Item<ConversationItem> {
  const { tools } = item.value.conversation;
  if (tools !== undefined) item.value.conversation.tools = tools.map(inEnvelope);
  return item;
}

/**
 * The turns after the system text that stands in a column of its own. A text that differs from a system turn among them is an error.
 */
export function withSystem(turns: Message[], fields: Readonly<Record<string, unknown>>): Message[] {
  if (!isFilled(fields.system)) return turns;
  const content = stringField(fields, "system");
  const own = turns.find(({ role }) => role === "system");
  if (own === undefined) return [{ role: "system", content }, ...turns];
  if (own.content === content) return turns;
  throw new RowError(
    `expected one system text, got a column "system" beside a system turn that says something else; remove one of them`,
  );
}

/** A tool as chat templates take it: `{ type: "function", function }`. */
function inEnvelope(tool: unknown): unknown {
  const isBare = typeof asObject(tool)?.name === "string" && asObject(asObject(tool)?.function) === null;
  return isBare ? { type: "function", function: tool } : tool;
}
