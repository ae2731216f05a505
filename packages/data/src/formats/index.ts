// All data formats, and which of them a row has.
import { type Format, type FormatName, type FormatOptions, RowError } from "./format.ts";
import { messages } from "./messages.ts";
import { promptCompletion } from "./prompt-completion.ts";
import { text } from "./text.ts";

/** All formats, the richest first: a row that has the columns of several is read as the first of them. */
export const formats: readonly Format[] = [messages, promptCompletion, text];

/**
 * The format whose columns a row has.
 *
 * @param forced name of the format to use whatever the columns are, or `auto`
 */
export function detectFormat(
  fields: Readonly<Record<string, unknown>>,
  forced: FormatName | "auto",
  options: FormatOptions,
): Format {
  const columnsOf = (format: Format) => (format === text ? [options.datasetTextField] : format.columns);
  const found = formats.find((format) =>
    forced === "auto" ? columnsOf(format).every((column) => Object.hasOwn(fields, column)) : format.name === forced,
  );
  if (found !== undefined) return found;
  const known = formats
    .map((format) =>
      columnsOf(format)
        .map((column) => `"${column}"`)
        .join(" + "),
    )
    .join(", or ");
  const got =
    Object.keys(fields)
      .map((column) => `"${column}"`)
      .join(", ") || "none";
  throw new RowError(`expected the columns ${known}, got ${got}; rename the columns`);
}
