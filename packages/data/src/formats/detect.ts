// Which format a row has.
import { nearestName, OptionError } from "@tunesmith/core";
import { type Format, type FormatOptions, RowError } from "./format.ts";

/**
 * The format whose columns a row has, the first of them.
 *
 * @param forced name of the format to use whatever the columns are, or `auto`
 */
export function detectFormat(
  formats: readonly Format[],
  fields: Readonly<Record<string, unknown>>,
  forced: string,
  options: FormatOptions,
): Format {
  if (forced !== "auto") return formatNamed(formats, forced);
  const found = formats.find((format) => format.columns(options).every((column) => Object.hasOwn(fields, column)));
  if (found !== undefined) return found;
  const known = formats.map((format) => quoted(format.columns(options)).join(" + ")).join(", or ");
  const got = quoted(Object.keys(fields)).join(", ") || "none";
  throw new RowError(`expected the columns ${known}, got ${got}; rename the columns`);
}

function formatNamed(formats: readonly Format[], name: string): Format {
  const found = formats.find((format) => format.name === name);
  if (found !== undefined) return found;
  const names = ["auto", ...formats.map((format) => format.name)];
  const nearest = nearestName(name, names);
  throw new OptionError(
    `[datasetFormat] expected one of ${quoted(names).join(", ")}, got "${name}"; ${nearest === null ? "choose one of these" : `did you mean "${nearest}"?`}`,
  );
}

function quoted(names: readonly string[]): string[] {
  return names.map((name) => `"${name}"`);
}
