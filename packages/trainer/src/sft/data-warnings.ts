// What rows lost on their way to the first step, in words.
import { plural } from "@tunesmith/core";
import type { DataReport, NotedRows } from "@tunesmith/data";
import { packingWarning } from "./packing.ts";

/** Says one thing of a data set; null where there is nothing to say. */
type Warning = (report: DataReport) => string | null;

/** What rows lost on their way, in words. */
export function dataWarnings(report: DataReport): string[] {
  const found = warnings.map((warning) => warning(report)).filter((text) => text !== null);
  return [...found, ...notes(report)].map((text) => `${report.source}: ${text}`);
}

const warnings: readonly Warning[] = [
  ({ ignoredFiles = [] }) =>
    ignoredFiles.length === 0
      ? null
      : `${plural(ignoredFiles.length, "file")} of the folder ${ignoredFiles.length === 1 ? "is" : "are"} not read: ${ignoredFiles.slice(0, 10).join(", ")}${ignoredFiles.length > 10 ? ", …" : ""}`,
  skippedRows,
  droppedRows,
  truncatedRows,
  ({ packing }) => (packing === undefined ? null : packingWarning(packing)),
  ({ prefixMismatches: rows }) =>
    rows === 0
      ? null
      : `in ${plural(rows, "row")} one token spans the end of the prompt; end prompts where a word ends`,
  ({ duplicates, rows }) => (duplicates === 0 ? null : `exact duplicates of earlier rows: ${duplicates} of ${rows}`),
];

function skippedRows({ skipped: { count, first } }: DataReport): string | null {
  if (count === 0) return null;
  const named = first.map(({ place, reason }) => `\n  ${place}: ${reason}`).join("");
  const rest = count > first.length ? `\n  … and ${count - first.length} more` : "";
  return `${plural(count, "row")} cannot be used and ${count === 1 ? "is" : "are"} skipped:${named}${rest}`;
}

function droppedRows({ dropped, kept, rows }: DataReport): string | null {
  const count = rows - kept;
  const [first] = dropped;
  if (first === undefined) return null;
  const isOneFile = dropped.every(({ source }) => source === first.source);
  const shown = dropped.slice(0, 10).map(({ source, line }) => (isOneFile ? line : `${source}:${line}`));
  const places = `${shown.join(", ")}${count > shown.length ? ", …" : ""}`;
  return `${count} of ${rows} rows are left out (${isOneFile ? "lines " : ""}${places}): ${first.reason}`;
}

function truncatedRows({
  truncated,
  truncatedReplies,
  uncounted,
  cutTokens: { prompt, answer },
  rows,
}: DataReport): string | null {
  if (truncated === 0) return null;
  const least = uncounted === 0 ? "" : "more than ";
  const cut = `${truncated} of ${rows} rows are longer than maxLength and were cut by ${least}${prompt + answer} tokens`;
  return `${cut}; ${truncatedReplies} of them lost ${truncatedReplies === 0 ? "" : least}${plural(answer, "trained token")}`;
}

function notes({ notWritten, controlTokens, endsNotTrained }: DataReport): string[] {
  const lost = notWritten.map(
    ({ name, ...noted }) =>
      `the chat template leaves out ${name} of ${inRows(noted)}: the model never sees it; use a template that writes it, or take it out of the rows`,
  );
  const controls = controlTokens.map(
    ({ name, ...noted }) =>
      `a text holds the control token ${name} in ${inRows(noted)}, where it is no text but the token; remove it, or set sanitizeControlTokens`,
  );
  const endless = endsNotTrained.map(
    ({ name, ...noted }) =>
      `answers are trained without the token ${name} that ends them in ${inRows(noted)}: the model would not learn to stop; put it inside the template's {% generation %} tags`,
  );
  return [...lost, ...controls, ...endless];
}

/** How many rows, and which. */
function inRows({ rows, lines }: Omit<NotedRows, "name">): string {
  const named = lines.map((line) => `line ${line}`).join(", ");
  return `${plural(rows, "row")} (${named}${rows > lines.length ? ", …" : ""})`;
}
