// What an audit finds, and what a check is.
import type { Similarity } from "@tunesmith/core";
import type { AuditRow } from "./audit-row.ts";
import type { Measured } from "./measured.ts";

/** Every code of a finding. */
export const auditCodes = [
  "unusable-row",
  "broken-turns",
  "role-order",
  "empty-answer",
  "cut-answer",
  "exact-duplicate",
  "near-duplicate",
  "train-eval-leakage",
  "mixed-formats",
  "mixed-templates",
  "over-max-length",
  "few-trained-tokens",
  "answer-without-eos",
  "repeated-ngrams",
  "short-answer",
  "conflicting-answers",
  "control-token",
  "mixed-languages",
  "mixed-scripts",
  "one-pattern",
  "large-cluster",
  "low-diversity",
  "eval-not-covered",
  "low-judged-answer",
] as const;

/** Code of a finding; it stays the same between versions. */
export type AuditCode = (typeof auditCodes)[number];

/** `error`: training on it does harm or fails. `warning`: it likely does. `note`: worth a look. */
export type AuditSeverity = "error" | "warning" | "note";

/** A row that a finding is about. */
export interface FoundRow {
  /** `FILE:LINE`, or the place in the list. */
  place: string;
  /** What is found in this row. */
  detail: string;
  /** The row's text, its start. */
  excerpt: string;
}

/** One thing that is found of a data set. */
export interface AuditFinding {
  code: AuditCode;
  severity: AuditSeverity;
  /** What is found, in one sentence. */
  message: string;
  /** What to do about it. */
  remedy: string;
  /** How many rows it is about; 0 where it is about the set as a whole. */
  count: number;
  /** The first ten of them. */
  rows: FoundRow[];
}

/** What checks look at. */
export interface AuditData {
  name: string;
  rows: readonly AuditRow[];
  /** Rows to evaluate with; empty where there are none. */
  evalRows: readonly AuditRow[];
  /** Lengths in tokens; null without a model. */
  measured: Measured | null;
  similarity: Similarity;
  limits: AuditLimits;
}

/** From where on something is a finding. */
export interface AuditLimits {
  /** Words, by Unicode, that an answer should have in the expected use at least. Default null: what the prompt asks for. */
  expectedAnswerWords: number | null;
  /** Least Jaccard similarity of near duplicates, by shingles of three words. Default 0.7. */
  nearDuplicateThreshold: number;
  /** Largest share of rows whose prompts begin alike. Default 0.5. */
  maxPatternShare: number;
  /** Largest share of rows in one cluster of near duplicates. Default 0.2. */
  maxClusterShare: number;
  /** Least share of distinct pairs of words in the answers (distinct-2). Default 0.15. */
  minDistinct2: number;
  /** Least share of tokens that are trained. Default 0.05. */
  minTrainedShare: number;
}

/** Defaults of {@link AuditLimits}. */
export const auditLimits: AuditLimits = {
  expectedAnswerWords: null,
  nearDuplicateThreshold: 0.7,
  maxPatternShare: 0.5,
  maxClusterShare: 0.2,
  minDistinct2: 0.15,
  minTrainedShare: 0.05,
};

/** A row that a check names, and what it found there. */
export interface Noted {
  row: AuditRow;
  detail: string;
  /** The earlier rows that it is like, where that is what it is named for. */
  like?: AuditRow[];
}

/** What a check found: nothing where there are neither rows nor `always`. */
export interface Found {
  message: string;
  rows: readonly Noted[];
  /** A finding about the set as a whole, whatever rows it names. */
  isOfSet?: boolean;
}

/** Looks for one thing. */
export interface Check {
  code: AuditCode;
  severity: AuditSeverity;
  remedy: string;
  /** Whether `fix` leaves the rows out. */
  isRemoved: boolean;
  /** Looks at the rows; null where it finds nothing. */
  find(data: AuditData): Found | null | Promise<Found | null>;
}
