// The report of an audit as lines for a terminal.
import { terminalText } from "@tunesmith/core";
import type { AuditFinding, AuditReport, AuditSeverity } from "@tunesmith/sdk";
import pc from "picocolors";
import { display } from "./display.ts";
import { percent, plural, significant } from "./format.ts";

const marks: Readonly<Record<AuditSeverity, string>> = {
  error: pc.red("error  "),
  warning: pc.yellow("warning"),
  note: pc.dim("note   "),
};

const tooMuchAlike =
  "compared not all: too many rows are alike, so near duplicates may be missing; take out those that are named and look again";

/** The report as lines for a terminal: a finding each, with its rows and what to do. */
export function auditLines(report: AuditReport): string {
  const lines = coverageLines(report);
  if (report.judged !== null) {
    const { rows, mean, min } = report.judged;
    lines.push(`judged   ${plural(rows, "answer")}: mean ${significant(mean)}, lowest ${significant(min)} of 10`);
  }
  if (report.fixed !== null) {
    const { path, kept, removed, reasons } = report.fixed;
    const why = Object.entries(reasons).map(([code, count]) => `${count} ${code}`);
    lines.push(
      `cleaned  ${display(path)}: ${kept} kept, ${removed} removed${why.length > 0 ? ` (${why.join(", ")})` : ""}`,
    );
  }
  // Made safe before anything is coloured: what is a code of ours and what a row's cannot be told later.
  const rest = lines.map((line) => terminalText(line));
  return [terminalText(summary(report)), ...report.findings.flatMap(findingLines), ...rest, ""].join("\n");
}

/** The data set in one line. */
export function summary({ source, rows, formats, tokens, findings }: AuditReport): string {
  const parts = [`${display(source)}: ${plural(rows, "row")} (${formats.join(", ") || "no format"})`];
  if (tokens !== null)
    parts.push(
      `${tokens.min}/${tokens.median}/${tokens.max} tokens (min/median/max)`,
      `${percent(tokens.trainedShare)} trained`,
    );
  return `data     ${parts.join(", ")}, ${findings.length === 0 ? "nothing found" : plural(findings.length, "finding")}`;
}

function findingLines({ code, severity, message, remedy, count, rows }: AuditFinding): string[] {
  const rest = count > rows.length ? [`         … and ${count - rows.length} more`] : [];
  return [
    `${marks[severity]}  ${pc.bold(code)}: ${terminalText(message)} (${plural(count, "row")})`,
    ...rows.map(({ place, detail }) => `         ${display(place)}: ${terminalText(detail)}`),
    ...rest,
    `         ${pc.dim(terminalText(remedy))}`,
  ];
}

/** What the set covers, beside the set to evaluate with, and how far it was compared. */
export function coverageLines({ coverage: { train, eval: held }, comparedAll }: AuditReport): string[] {
  const parts = [{ name: "covers  ", ...train }, ...(held === null ? [] : [{ name: "eval    ", ...held }])];
  const covered = parts.map(({ name, openings, distinctOpenings, distinct2, largestCluster }) => {
    const first = openings
      .slice(0, 5)
      .map(({ verb, object, count }) => `${[verb, object].join(" ").trim()} (${count})`);
    const words = distinct2 === null ? "" : `, distinct-2 ${significant(distinct2, 3)}`;
    const common = first.length === 0 ? "" : `: ${first.join(", ")}`;
    return `${name} ${plural(distinctOpenings, "opening")}${common}${words}, largest cluster ${percent(largestCluster)}`;
  });
  return comparedAll ? covered : [...covered, tooMuchAlike];
}
