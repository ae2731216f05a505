// Counts what training should not pass over in silence: what the chat template does not write, control tokens in texts.
import { asObject, type ConversationNote } from "@tunesmith/core";
import type { Row } from "../sources/rows.ts";

/** Rows that share something. */
export interface NotedRows {
  /** A field of the rows, or the role of messages; a token. */
  name: string;
  /** How many rows. */
  rows: number;
  /** Lines of the first ten of them. */
  lines: number[];
}

/** Lines that are named. */
const named = 10;

/** The notes of a data set so far. */
export class NoteCounts {
  readonly #counted: Readonly<Record<ConversationNote["kind"], Map<string, NotedRows>>> = {
    notWritten: new Map(),
    controlToken: new Map(),
    endNotTrained: new Map(),
  };

  /** Counts the notes of one row. */
  add({ line, fields }: Row, notes: readonly ConversationNote[]): void {
    for (const { kind, name } of notes) {
      const known = kind === "notWritten" ? nameInRow(name, fields) : name;
      const noted = this.#counted[kind].get(known) ?? { name: known, rows: 0, lines: [] };
      noted.rows += 1;
      if (noted.lines.length < named) noted.lines.push(line);
      this.#counted[kind].set(known, noted);
    }
  }

  /** What was counted so far, the first seen first. */
  of(kind: ConversationNote["kind"]): NotedRows[] {
    return Array.from(this.#counted[kind].values(), (noted) => ({ ...noted, lines: [...noted.lines] }));
  }
}

/** Fields that are read under the name of another. */
const synonyms: Readonly<Record<string, readonly string[]>> = {
  tools: ["tools", "functions"],
  tool_calls: ["tool_calls", "function_call"],
  reasoning_content: ["reasoning_content", "thinking", "reasoning"],
};

/** The name that a field has in this row. */
function nameInRow(name: string, fields: Row["fields"]): string {
  const lists = Object.values(fields).filter((value) => Array.isArray(value));
  const holders = [fields, ...lists.flat().map((message) => asObject(message) ?? {})];
  return synonyms[name]?.find((synonym) => holders.some((holder) => (holder[synonym] ?? null) !== null)) ?? name;
}
