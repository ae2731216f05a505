import { stripVTControlCharacters } from "node:util";
import type { AuditReport } from "@tunesmith/sdk";
import { expect, test } from "vitest";
import { auditLines } from "./audit-lines.ts";

const coverage = { rows: 2, openings: [], distinctOpenings: 0, distinct2: null, largestCluster: 0 };
const report: AuditReport = {
  source: "rows.jsonl",
  formats: ["text"],
  rows: 2,
  findings: [
    {
      code: "empty-answer",
      severity: "error",
      message: "answers that say nothing",
      remedy: "write them",
      count: 1,
      rows: [{ place: "rows.jsonl:2", detail: "\u001b[31mred", excerpt: "" }],
    },
  ],
  coverage: { train: coverage, eval: null },
  comparedAll: false,
  tokens: null,
  judged: null,
  fixed: null,
};

test("codes of a terminal that stand in rows are shown, and those of ours are not", () => {
  const text = stripVTControlCharacters(auditLines(report));
  expect(text).toContain("error    empty-answer: answers that say nothing (1 row)\n");
  expect(text).toContain("rows.jsonl:2: \\u001b[31mred");
});

test("says that not all rows were compared", () => {
  expect(auditLines(report)).toMatch(/compared not all: too many rows are alike/u);
  expect(auditLines({ ...report, comparedAll: true })).not.toContain("compared not all");
});
