// Rows of two answers, one of which is preferred, as OpenAI's preference fine-tuning has them.
import { asObject } from "@tunesmith/core";
import { describe, type Format, RowError } from "./format.ts";
import { readMessages } from "./messages.ts";
import { messagePreference } from "./preference.ts";

/**
 * A column `input` with `{ messages, tools? }`, and the answers to it as lists of messages in `preferred_output` and
 * `non_preferred_output`.
 */
export const openaiPreference: Format = {
  name: "openai-preference",
  task: "preference",
  columns: () => ["input", "preferred_output", "non_preferred_output"],
  optionalColumns: [],
  read(row) {
    const input = asObject(row.fields.input);
    if (input === null)
      throw new RowError(
        `expected { messages } in column "input", got ${describe(row.fields.input)}; give the prompt's messages`,
      );
    const prompt = readMessages(input.messages, "input.messages");
    const chosen = readMessages(row.fields.preferred_output, "preferred_output");
    const rejected = readMessages(row.fields.non_preferred_output, "non_preferred_output");
    // Tools stand beside the messages that may use them.
    return messagePreference(prompt, { chosen, rejected }, { ...row, fields: input });
  },
};
