// Prepares rows with the tokenizer of letters, for tests.
import { writeExact } from "@tunesmith/core";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import type { ConversationItem } from "../encode/conversation.ts";
import { IGNORE_INDEX } from "../encode/mask.ts";
import { type PreparedData, prepare } from "../prepare/prepare.ts";
import type { PrepareOptions } from "../prepare/prepare-options.ts";
import type { DatasetSource } from "../sources/rows.ts";

/** The options of a plain run, every row whole. */
export const plainOptions: PrepareOptions = {
  name: "rows",
  datasetFormat: "auto",
  datasetTextField: "text",
  maxLength: null,
  assistantOnlyLoss: true,
  completionOnlyLoss: null,
};

/** The same tokenizer without a chat template. */
export const plainTokenizer = { ...letterTokenizer, info: { ...letterTokenizer.info, chatTemplate: null } };

/** Rows prepared with the options of a plain run. */
export function prepareRows(
  rows: DatasetSource,
  options: Partial<PrepareOptions> = {},
  tokenizer = letterTokenizer,
): Promise<PreparedData> {
  return prepare(rows, tokenizer, { ...plainOptions, keepItems: 100, ...options });
}

/** Trained tokens as text, `_` for one that is not; `^` opens a turn, `$` ends one. */
export async function trainedTexts(...given: Parameters<typeof prepareRows>): Promise<string[]> {
  const { examples } = await prepareRows(...given);
  const letter = (id: number) => (id === 131 ? "$" : id > 127 ? "^" : String.fromCharCode(id));
  return [...examples].map(({ labels }) =>
    Array.from(labels, (label) => (label === IGNORE_INDEX ? "_" : letter(label))).join(""),
  );
}

/** The conversations of rows, as they go to the chat template. */
export async function conversationsOf(...given: Parameters<typeof prepareRows>): Promise<unknown[]> {
  const { items } = await prepareRows(...given);
  return items.map(({ value }) => JSON.parse(writeExact((value as ConversationItem).conversation)));
}
