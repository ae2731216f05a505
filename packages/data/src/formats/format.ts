// What a data format is, and how it refuses a row.
import { isTypedArray } from "node:util/types";
import { asNumber, parseExact, terminalText } from "@tunesmith/core";
import type { Item } from "../encode/item.ts";
import { excerpt } from "../sources/excerpt.ts";
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

/** A list, or what else a row has in its place. Tables without lists hold them as JSON text, programs as typed arrays. */
export function listOrText(value: unknown, column: string): unknown {
  if (isTypedArray(value)) return Array.from<number | bigint>(value);
  const isJson = typeof value === "string" && value.trimStart().startsWith("[");
  return isJson ? parsed(value, `column "${column}"`, "a JSON array") : value;
}

/** Whether a column says something: null is absent, and in tables without null a text that is empty. */
export function isFilled(value: unknown): boolean {
  return (value ?? "") !== "";
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

/** The entries of a list, read one by one: a program's list may have places that it never filled, which `map` would pass over. */
export function entriesOf<T>(list: readonly unknown[], read: (entry: unknown, index: number) => T): T[] {
  return Array.from(list, read);
}

/** A value that should have been a name: the start of a text in quotes, the kind of anything else. */
export function shown(value: unknown): string {
  return typeof value === "string" ? excerpt(value) : describe(value);
}

/** Names in double quotes, the first twenty of them. */
export function quoted(names: readonly string[]): string {
  const most = 20;
  const rest = names.length > most ? ` and ${names.length - most} more` : "";
  return names.slice(0, most).map(excerpt).join(", ") + rest;
}

/** Kind of a value in the words of JSON. */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (asNumber(value) !== null) return "a number";
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
