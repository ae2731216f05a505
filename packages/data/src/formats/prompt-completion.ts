// Rows of columns `prompt` and `completion`.
import { pairKind } from "../encode/pair.ts";
import { describe, type Format, RowError, stringField } from "./format.ts";
import { conversationItem, messages, readMessages, requireAssistant } from "./messages.ts";

/**
 * Columns `prompt` and `completion` (TRL). Two strings are tokenised jointly; two lists of messages are one conversation of
 * which only the completion's assistant turns are trained.
 */
export const promptCompletion: Format = {
  name: "prompt-completion",
  columns: () => ["prompt", "completion"],
  optionalColumns: messages.optionalColumns,
  read(row) {
    const { prompt, completion } = row.fields;
    if (Array.isArray(prompt) !== Array.isArray(completion)) {
      throw new RowError(
        `expected "prompt" and "completion" of one kind, got ${describe(prompt)} and ${describe(completion)}; give two texts or two lists of messages`,
      );
    }
    if (!Array.isArray(prompt)) {
      const value = { prompt: stringField(row.fields, "prompt"), completion: stringField(row.fields, "completion") };
      return { kind: pairKind, value };
    }
    const context = readMessages(prompt, "prompt");
    const answer = readMessages(completion, "completion");
    requireAssistant(answer);
    return conversationItem([...context, ...answer], row, context.length);
  },
};
