// The tools of a row: its column `tools`, or `functions` of OpenAI's older format.
import { asObject } from "@tunesmith/core";
import type { Row } from "../sources/rows.ts";
import { describe, entriesOf, isFilled, parsed, RowError } from "./format.ts";

/** Columns that tools are read from. */
export const toolColumns = ["tools", "functions"];

/**
 * The tools a row names, as objects: a list, or one written as JSON text, whose entries may be JSON texts themselves. An entry of
 * `functions` becomes a tool. Null where the row has neither column.
 */
export function readTools({ fields }: Row): unknown[] | null {
  const column = toolColumns.find((name) => isFilled(fields[name]));
  if (column === undefined) return null;
  const value = fields[column];
  const list = typeof value === "string" ? parsed(value, `column "${column}"`, "a JSON array") : value;
  if (!Array.isArray(list))
    throw new RowError(`expected an array in column "${column}", got ${describe(list)}; correct or remove the column`);
  const tools = entriesOf(list, (entry, index) => readTool(entry, `${column}[${index}]`));
  return column === "tools" ? tools : tools.map((tool) => ({ type: "function", function: tool }));
}

function readTool(value: unknown, place: string): object {
  const tool = asObject(typeof value === "string" ? parsed(value, place, "a JSON object") : value);
  if (tool !== null) return tool;
  throw new RowError(`expected an object in ${place}, got ${describe(value)}; describe the tool as a JSON schema`);
}
