// What rows lost on their way to the first step, in words.
import { plural } from "@tunesmith/core";
import type { DataReport, NotedRows } from "@tunesmith/data";
import { packingWarning } from "./packing.ts";

/** One thing that rows lost. */
interface Finding {
  /** Which it is. */
  kind: string;
  /** How many rows, or files, it is true of. */
  count: number;
  text: string;
}

/** What rows lost on their way, in words. */
export function dataWarnings(report: DataReport): string[] {
  return [...findings(report).map(({ text }) => text), ...emptyParts(report), ...cutParts(report)];
}

/** Of a mix that was read whole, the data sets that it has no row of. */
function emptyParts({ source, parts = [] }: DataReport): string[] {
  const empty = parts.filter(({ kept }) => kept === 0).map((part) => `${part.source} (weight ${part.weight})`);
  if (empty.length === 0) return [];
  return [
    `${source}: nothing is trained of ${empty.join(", ")}: the mix ended before it gave a row, or none can be used; check rows and weights`,
  ];
}

/** Of a mix, the data sets that it has not read to their end. */
function cutParts({ source, parts = [] }: DataReport): string[] {
  const cut = parts.filter(({ kept, isCut }) => isCut && kept > 0).map((part) => part.source);
  if (cut.length === 0) return [];
  return [
    `${source}: the mix ended with the first data set that has no more rows, and ${cut.join(", ")} ${cut.length === 1 ? "has" : "have"} some left; stopping "all_exhausted" reads them`,
  ];
}

/** What is new in the report of a data set that is still being read. */
export class DataNews {
  readonly #said = new Map<string, number>();

  /**
   * What has not been said yet: of each kind the first, then whenever it is true of ten times as many rows.
   *
   * @param isEnd whether to say all that has become more: no more rows come
   */
  of(report: DataReport, isEnd: boolean): string[] {
    const due = findings(report).filter(({ kind, count }) => {
      const before = this.#said.get(kind) ?? 0;
      return count > before && (isEnd || count >= 10 * before);
    });
    for (const { kind, count } of due) this.#said.set(kind, count);
    return due.map(({ text }) => text);
  }
}

function findings(report: DataReport): Finding[] {
  const { ignoredFiles = [], skipped, kept, rows, truncated, packing, prefixMismatches, duplicates } = report;
  const found: Finding[] = [
    { kind: "ignoredFiles", count: ignoredFiles.length, text: filesNotRead(ignoredFiles) },
    { kind: "skipped", count: skipped.count, text: skippedRows(report) },
    { kind: "dropped", count: rows - kept, text: droppedRows(report) },
    { kind: "truncated", count: truncated, text: truncatedRows(report) },
    {
      kind: "packing",
      count: packing?.splitExamples ?? 0,
      text: packing === undefined ? "" : packingWarning(packing),
    },
    {
      kind: "prefixMismatches",
      count: prefixMismatches,
      text: `in ${plural(prefixMismatches, "row")} one token spans the end of the prompt; end prompts where a word ends`,
    },
    { kind: "duplicates", count: duplicates, text: `exact duplicates of earlier rows: ${duplicates} of ${rows}` },
    ...notes(report),
  ];
  return found
    .filter(({ count }) => count > 0)
    .map((finding) => ({ ...finding, text: `${report.source}: ${finding.text}` }));
}

function filesNotRead(files: readonly string[]): string {
  const named = `${files.slice(0, 10).join(", ")}${files.length > 10 ? ", …" : ""}`;
  return `${plural(files.length, "file")} of the folder ${files.length === 1 ? "is" : "are"} not read: ${named}`;
}

function skippedRows({ skipped: { count, first } }: DataReport): string {
  const named = first.map(({ place, reason }) => `\n  ${place}: ${reason}`).join("");
  const rest = count > first.length ? `\n  … and ${count - first.length} more` : "";
  return `${plural(count, "row")} cannot be used and ${count === 1 ? "is" : "are"} skipped:${named}${rest}`;
}

function droppedRows({ dropped, kept, rows }: DataReport): string {
  const count = rows - kept;
  const [first] = dropped;
  const isOneFile = dropped.every(({ source }) => source === first?.source);
  const shown = dropped.slice(0, 10).map(({ source, line }) => (isOneFile ? line : `${source}:${line}`));
  const places = `${shown.join(", ")}${count > shown.length ? ", …" : ""}`;
  return `${count} of ${rows} rows are left out (${isOneFile ? "lines " : ""}${places}): ${first?.reason}`;
}

function truncatedRows({
  truncated,
  truncatedReplies,
  uncounted,
  cutTokens: { prompt, answer },
  rows,
}: DataReport): string {
  const least = uncounted === 0 ? "" : "more than ";
  const cut = `${truncated} of ${rows} rows are longer than maxLength and were cut by ${least}${prompt + answer} tokens`;
  return `${cut}; ${truncatedReplies} of them lost ${truncatedReplies === 0 ? "" : least}${plural(answer, "trained token")}`;
}

function notes({ notWritten, controlTokens, endsNotTrained }: DataReport): Finding[] {
  const found = (kind: string, noted: readonly NotedRows[], say: (name: string, where: string) => string) =>
    noted.map(({ name, ...where }) => ({
      kind: `${kind} ${name}`,
      count: where.rows,
      text: say(name, inRows(where)),
    }));
  return [
    ...found(
      "notWritten",
      notWritten,
      (name, where) =>
        `the chat template leaves out ${name} of ${where}: the model never sees it; use a template that writes it, or take it out of the rows`,
    ),
    ...found(
      "controlTokens",
      controlTokens,
      (name, where) =>
        `a text holds the control token ${name} in ${where}, where it is no text but the token; remove it, or set sanitizeControlTokens`,
    ),
    ...found(
      "endsNotTrained",
      endsNotTrained,
      (name, where) =>
        `answers are trained without the token ${name} that ends them in ${where}: the model would not learn to stop; put it inside the template's {% generation %} tags`,
    ),
  ];
}

/** How many rows, and which. */
function inRows({ rows, lines }: Omit<NotedRows, "name">): string {
  const named = lines.map((line) => `line ${line}`).join(", ");
  return `${plural(rows, "row")} (${named}${rows > lines.length ? ", …" : ""})`;
}
