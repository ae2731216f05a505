// The tables of an evaluation as lines for a terminal.
import { terminalText } from "@tunesmith/core";
import type { EvaluatedMetric, Evaluation, EvaluationTable, MetricValue } from "@tunesmith/sdk";
import pc from "picocolors";
import { describeData } from "./data-line.ts";
import { percent, plural, significant } from "./format.ts";

/** All tables, that of all rows first, with what the intervals are. */
export function evaluationLines(found: Omit<Evaluation, "rows">): string {
  const { overall, groups, groupBy, confidence, resamples, data } = found;
  const titled = groups.map((table) => [
    pc.bold(terminalText(`${groupBy}: ${table.group} (${plural(table.rows, "row")})`)),
    ...tableLines(table),
  ]);
  const compared = overall.metrics.some(({ difference }) => difference !== null);
  const paired = compared ? "; * the difference is on one side of 0" : "";
  return [
    `data     ${describeData(data)}`,
    ...tableLines(overall),
    ...titled.flat(),
    pc.dim(`in brackets: ${percent(confidence)} of ${resamples} resamples of the rows${paired}`),
    "",
  ].join("\n");
}

function tableLines({ metrics }: EvaluationTable): string[] {
  const compared = metrics.some(({ base }) => base !== null);
  const head = compared ? ["", "base", "model", "difference"] : ["", "model"];
  const rows = metrics.map((metric) => cells(metric, compared));
  const widths = head.map((title, n) => Math.max(title.length, ...rows.map((row) => (row[n] ?? "").length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, n) => cell.padEnd(widths[n] ?? 0))
      .join("  ")
      .trimEnd();
  return [pc.dim(line(head)), ...rows.map(line)];
}

function cells({ metric, model, base, difference }: EvaluatedMetric, compared: boolean): string[] {
  const name = terminalText(metric);
  if (!compared) return [name, shown(model)];
  const apart = difference?.interval;
  const isApart = apart !== undefined && apart !== null && (apart[0] > 0 || apart[1] < 0);
  return [name, shown(base), shown(model), `${shown(difference)}${isApart ? " *" : ""}`];
}

function shown(value: MetricValue | null): string {
  if (value === null) return "";
  const { interval } = value;
  const bounds = interval === null ? "" : ` [${significant(interval[0], 3)}, ${significant(interval[1], 3)}]`;
  return `${significant(value.value)}${bounds}`;
}
