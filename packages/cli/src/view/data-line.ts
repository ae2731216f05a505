// A data set in one line.
import { terminalText } from "@tunesmith/core";
import type { DataReport } from "@tunesmith/sdk";
import pc from "picocolors";
import { display } from "./display.ts";
import { percent, plural, shortHash, significant } from "./format.ts";

/** What became of the rows of a data set, in one line. */
export function describeData({
  source,
  format,
  kept,
  rows,
  tokens,
  trainedShare,
  lossWeights,
  truncated,
  truncatedReplies,
  skipped,
  ignoredColumns,
  packing,
  parts: mixed,
  fromCache,
  streamed,
}: DataReport): string {
  const soFar = streamed === true ? " so far" : "";
  const parts = [
    `${display(source)}: ${kept === rows ? plural(rows, "row") : `${kept} of ${plural(rows, "row")}`}${soFar} (${format})`,
    `${tokens.min}/${tokens.median}/${tokens.p95}/${tokens.max} tokens (min/median/p95/max)`,
    `${percent(trainedShare)} trained`,
  ];
  if (lossWeights !== null) {
    const { min, max } = lossWeights;
    parts.push(`loss weights ${min === max ? "" : `${significant(min)} to `}${significant(max)}`);
  }
  if (mixed !== undefined)
    parts.push(
      mixed.map((part) => `${percent(part.share)} ${display(part.source)} (${part.format ?? "no rows"})`).join(" + "),
    );
  if (fromCache === true) parts.push("prepared before");
  if (truncated > 0) parts.push(pc.yellow(`${truncated} truncated, ${truncatedReplies} of them in the reply`));
  if (kept < rows) parts.push(pc.yellow(`${rows - kept} dropped`));
  if (skipped.count > 0) parts.push(pc.yellow(`${skipped.count} skipped`));
  if (ignoredColumns.length > 0) parts.push(`not read: ${namedColumns(ignoredColumns)}`);
  if (packing !== undefined) {
    const { strategy, rows: packed, fillRate, keptTokens, cutTokens, splitTokens } = packing;
    parts.push(
      `packed (${strategy}) into ${plural(packed, "row")}, ${percent(fillRate)} full, ${keptTokens} tokens kept, ${cutTokens} cut, ${splitTokens} in split rows`,
    );
  }
  return parts.join(", ");
}

/** The chat template by the first digits of its SHA-256: equal ones in training and serving mean equal prompts. */
export function describeTemplate(sha256: string | null): string {
  return sha256 === null ? "no chat template" : `chat template ${shortHash(sha256)}`;
}

/** Columns that are named before they are only counted. */
const namedAtMost = 10;

function namedColumns(columns: readonly string[]): string {
  const rest = columns.length - namedAtMost;
  return terminalText(columns.slice(0, namedAtMost).join(", ")) + (rest > 0 ? ` and ${rest} more` : "");
}
