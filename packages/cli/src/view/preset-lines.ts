// The values of a preset with where each comes from, as lines for a terminal.
import { type AppliedPresetValue, type Preset, terminalText } from "@tunesmith/core";
import pc from "picocolors";
import { display } from "./display.ts";

/** A line for each option that a preset sets: its value and source, or what was given in its place. */
export function presetLines(
  { name, title }: Preset,
  applied: readonly AppliedPresetValue[],
  given: Readonly<Record<string, unknown>>,
): string {
  const rows = applied.map(({ option, value, source, replacedBy }) => {
    if (replacedBy === null) return { cell: `${option} ${shown(value)}`, source };
    const other = `${replacedBy} ${shown(given[replacedBy])}`;
    return { cell: terminalText(other), source: `given, in place of ${option} ${shown(value)} of ${source}` };
  });
  const width = Math.max(...rows.map(({ cell }) => cell.length));
  const lines = rows.map(({ cell, source }) => `         ${cell.padEnd(width)}  ${pc.dim(source)}`);
  return [`preset   ${pc.bold(name)}: ${title}`, ...lines, ""].join("\n");
}

function shown(value: unknown): string {
  if (typeof value === "string") return value.includes("/") ? display(value) : value;
  return JSON.stringify(value) ?? "";
}
