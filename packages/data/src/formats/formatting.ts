// A function of one's own that makes of a row what a format understands.
import { asObject } from "@tunesmith/core";
import type { Row } from "../sources/rows.ts";
import { describe, RowError, shown } from "./format.ts";

/** What a {@link FormattingFunc} gives: a text to train on, or a row of any format. */
export type FormattedRow = string | Readonly<Record<string, unknown>>;

/**
 * Makes of one row a text or a row of any format (TRL's formatting_func). Numbers of a file that JavaScript would write otherwise,
 * such as `10.0`, are objects that convert to numbers and keep their digits.
 */
export type FormattingFunc = (row: Readonly<Record<string, unknown>>) => FormattedRow | Promise<FormattedRow>;

/** The row that the function makes of a row. One that throws, or gives something else, is a fault of the row. */
export async function formatted(row: Row, format: FormattingFunc, textColumn: string): Promise<Row> {
  let given: unknown;
  try {
    given = await format(row.fields);
  } catch (cause) {
    throw new RowError(
      `expected formattingFunc to give a text or a row, got ${thrown(cause)}; correct the function or the row`,
    );
  }
  if (typeof given === "string") return { ...row, fields: { [textColumn]: given } };
  const fields = asObject(given);
  if (fields !== null) return { ...row, fields };
  throw new RowError(
    `expected formattingFunc to give a text or a row of columns, got ${describe(given)}; return one of them for each row`,
  );
}

/** What was thrown, in a few words; a program may throw anything. */
function thrown(cause: unknown): string {
  return cause instanceof Error ? `${cause.name}: ${cause.message.slice(0, 300)}` : shown(cause);
}
