// What a data format is, and how it refuses a row.
import { asNumber, parseExact, terminalText } from "@tunesmith/core";
import type { Item } from "../encode/item.ts";
import type { Row } from "../sources/rows.ts";

/** What rows are for: answers to be learned from, pairs of which one answer is preferred, prompts to be answered. */
export type Task = "supervised" | "preference" | "prompts";

/** How rows are understood. Column names are those of TRL's dataset formats. */
export interface Format {
  /** What the option `datasetFormat` calls it. */
  name: string;
  /** What its rows are for. Default: supervised fine-tuning. */
  task?: Task;
  /** Columns it needs; a row that has them is recognised by them. */
  columns(options: Pick<FormatOptions, "datasetTextField">): readonly string[];
  /** Columns it reads where a row has them. */
  optionalColumns: readonly string[];
  /** Reads one row. Throws {@link RowError} for a row that is not of this format. */
  read(row: Row, options: FormatOptions): Item;
}

/** What a format may need to know. */
export interface FormatOptions {
  /** Column of plain text rows. Default `text` (TRL's dataset_text_field). */
  datasetTextField: string;
  /** Whether the tokenizer has a chat template, so that a row can become a conversation. */
  hasChatTemplate: boolean;
}

/** What is wrong with one row, safe to show on a terminal; the reader adds file and line. */
export class RowError extends Error {
  constructor(message: string) {
    super(terminalText(message));
  }
}

/** The field as a string, or an error that names the column. Half of a surrogate pair has no UTF-8 form and is refused. */
export function stringField(fields: Readonly<Record<string, unknown>>, column: string): string {
  const value = fields[column];
  if (typeof value !== "string")
    throw new RowError(`expected a string in column "${column}", got ${describe(value)}; write it as text`);
  return wellFormed(value, `column "${column}"`);
}

/** The value of a JSON text in a row. */
export function parsed(text: string, place: string, expected: string): unknown {
  try {
    return parseExact(text);
  } catch (cause) {
    throw new RowError(
      `expected ${expected} in ${place}, got text that is not JSON: ${(cause as Error).message}; correct or remove the column`,
    );
  }
}

/** The text itself, if it can be written as UTF-8. */
export function wellFormed(text: string, place: string): string {
  if (/\p{Surrogate}/u.test(text))
    throw new RowError(`expected well-formed Unicode in ${place}, got half of a surrogate pair; re-export the row`);
  return text;
}

/** Kind of a value in the words of JSON. */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (asNumber(value) !== null) return "a number";
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
