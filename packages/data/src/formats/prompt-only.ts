// Rows of prompts that are answered during training.
import { promptKind } from "../encode/prompt-only.ts";
import { type Format, stringField } from "./format.ts";
import { conversationItem, messages, readMessages } from "./messages.ts";

/** A column `prompt`, a text or a list of messages (TRL's prompt-only). Other columns are for whoever rates the answers. */
export const promptOnly: Format = {
  name: "prompt-only",
  task: "prompts",
  columns: () => ["prompt"],
  optionalColumns: messages.optionalColumns,
  read(row) {
    if (!Array.isArray(row.fields.prompt)) return { kind: promptKind, value: stringField(row.fields, "prompt") };
    const turns = readMessages(row.fields.prompt, "prompt");
    return { kind: promptKind, value: conversationItem(turns, row, 0).value.conversation };
  },
};
