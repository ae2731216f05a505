// The report of an audit as a page of HTML, with the rows of each finding.

import { stripVTControlCharacters } from "node:util";
import { escapeHtml, htmlPage } from "@tunesmith/core";
import type { AuditFinding, AuditReport } from "@tunesmith/sdk";
import { coverageLines, summary } from "./audit-lines.ts";
import { plural } from "./format.ts";

const style = `body { font: 15px/1.6 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
h2 { font-size: 1rem; margin: 2rem 0 .3rem } table { border-collapse: collapse; width: 100% } td { border-top: 1px solid #8884; padding: .3rem .6rem .3rem 0; vertical-align: top; overflow-wrap: anywhere }
.error { color: #cf222e } .warning { color: #9a6700 } .note { opacity: .7 } .excerpt { font: 13px/1.5 ui-monospace, monospace; opacity: .8 }`;

/** A page of all findings: what is found, what to do, and the first rows with their texts. */
export function auditPage(report: AuditReport): string {
  const lines = [summary(report), ...coverageLines(report)].map(
    (line) => `<p>${escapeHtml(stripVTControlCharacters(line))}</p>`,
  );
  return htmlPage(report.source, style, [...lines, ...report.findings.map(section)].join("\n"));
}

function section({ code, severity, message, remedy, count, rows }: AuditFinding): string {
  const cells = ({ place, detail, excerpt }: AuditFinding["rows"][number]) =>
    `<tr><td>${escapeHtml(place)}<td>${escapeHtml(detail)}<td class="excerpt">${escapeHtml(excerpt)}`;
  const rest = count > rows.length ? `<p>… and ${count - rows.length} more</p>` : "";
  return `<h2 id="${code}"><span class="${severity}">${severity}</span> ${code}: ${escapeHtml(message)} (${plural(count, "row")})</h2>\n<p>${escapeHtml(remedy)}</p>\n<table>\n${rows.map(cells).join("\n")}\n</table>${rest}`;
}
