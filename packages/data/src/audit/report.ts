// The report of an audit, and how findings get there.
import type { SkippedRows } from "../sources/row-errors.ts";
import { type AuditRow, saidIn } from "./audit-row.ts";
import type { Coverage } from "./coverage.ts";
import type { AuditCode, AuditFinding, Check, Found, FoundRow, Noted } from "./finding.ts";

/** What an audit found of a data set. */
export interface AuditReport {
  /** File, folder or data set, or name of the in-memory source. */
  source: string;
  /** Formats of the rows, most frequent first. */
  formats: string[];
  /** Rows, and lines that hold none. */
  rows: number;
  /** In a fixed order, each code at most once. */
  findings: AuditFinding[];
  /** What the set covers, and the set to evaluate with beside it; null without one. */
  coverage: { train: Coverage; eval: Coverage | null };
  /** False where rows were so much alike that not all of them could be compared: near duplicates may be missing. */
  comparedAll: boolean;
  /** Tokens of a row, before anything is cut, and the share that is trained; null without a model. */
  tokens: { min: number; median: number; max: number; trainedShare: number } | null;
  /** Scores of the judge; null without one. */
  judged: { rows: number; mean: number; min: number } | null;
  /** The cleaned copy; null where none was asked for. */
  fixed: FixedCopy | null;
}

/** A copy of a data set without rows that findings name. */
export interface FixedCopy {
  path: string;
  /** Rows that are left, and lines that hold none where these stay. */
  kept: number;
  /** Rows that went. */
  removed: number;
  /** How many went by each code; a row with several counts once, for the first. */
  reasons: Partial<Record<AuditCode, number>>;
}

/** Rows that are named. */
const named = 10;
/** Characters of a row's text that are shown. */
const shown = 200;

/** A finding, where a check found something. */
export function findingOf({ code, severity, remedy }: Check, found: Found | null): AuditFinding | null {
  if (found === null || (found.rows.length === 0 && found.isOfSet !== true)) return null;
  const { message, rows } = found;
  return { code, severity, message, remedy, count: rows.length, rows: rows.slice(0, named).map(shownRow) };
}

/** Adds the lines that hold no row to the finding of rows that cannot be used. */
export function withUnreadable(finding: AuditFinding | null, check: Check, lines: SkippedRows): AuditFinding | null {
  if (lines.count === 0) return finding;
  const { code, severity, remedy } = check;
  const first = lines.first.map(({ place, reason }): FoundRow => ({ place, detail: reason, excerpt: "" }));
  const { message = "rows that cannot be used", count = 0, rows = [] } = finding ?? {};
  return { code, severity, message, remedy, count: count + lines.count, rows: [...first, ...rows].slice(0, named) };
}

function shownRow({ row, detail }: Noted): FoundRow {
  return { place: row.place, detail, excerpt: excerptOf(row) };
}

function excerptOf(row: AuditRow): string {
  const text = saidIn(row).replaceAll(/\s+/gu, " ").trim();
  return text.length > shown ? `${text.slice(0, shown)}…` : text;
}
