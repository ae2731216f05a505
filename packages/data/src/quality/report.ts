// What happened to a data set's rows.

import type { CutTokens } from "../encode/truncate.ts";
import type { PackingReport } from "../pack/packing.ts";
import type { PartReport } from "../prepare/part-counts.ts";
import type { SkippedRows } from "../sources/row-errors.ts";
import type { NotedRows } from "./notes.ts";

/** What happened to a data set's rows. Nothing is dropped or cut without being counted here. */
export interface DataReport {
  /** File, folder or data set, or name of the in-memory source. */
  source: string;
  /** Files of a folder that hold no rows by their names; absent where there are none. */
  ignoredFiles?: string[];
  /** Name of the format the rows were read as; the names of several for a mix. */
  format: string;
  /** Of a mix: what came of each of its data sets. */
  parts?: PartReport[];
  /** Columns of any row that its format does not read; the chat template may still use fields inside messages. */
  ignoredColumns: string[];
  /** Rows read, without the skipped ones. */
  rows: number;
  /** Rows that cannot be used, where `onBadRow` skips them. */
  skipped: SkippedRows;
  /** Rows that are trained on. */
  kept: number;
  /** Rows left out: `rows - kept` of them, of which a stream names the first thousand. */
  dropped: { source: string; line: number; reason: string }[];
  /** Rows longer than `maxLength`, whose tail was cut. */
  truncated: number;
  /** Truncated rows that lost tokens that would have been trained. */
  truncatedReplies: number;
  /** Truncated rows that were not read to their end: how much of them was cut is counted only in part. */
  uncounted: number;
  /** Tokens that were cut off: of prompts, and of what would have been trained. */
  cutTokens: CutTokens;
  /** Tokens per kept row, and in all. */
  tokens: { min: number; median: number; p95: number; max: number; total: number };
  /** Tokens with a label. */
  trainedTokens: number;
  /** trainedTokens / tokens.total. */
  trainedShare: number;
  /** Smallest and largest loss weight of a trained token; null where each counts 1. */
  lossWeights: { min: number; max: number } | null;
  /** Prompt-completion rows whose prompt ids are not a prefix of the joint ids: a token spans the boundary. */
  prefixMismatches: number;
  /** What rows hold and their text does not: fields, roles. */
  notWritten: NotedRows[];
  /** Control tokens that stand in the texts of rows, where each became the token itself. */
  controlTokens: NotedRows[];
  /** Special tokens that follow the answers of rows and are not trained, so that nothing teaches where an answer ends. */
  endsNotTrained: NotedRows[];
  /** True where rows are prepared while they are trained on: the report counts those that have been read so far. */
  streamed?: true;
  /** True where an earlier run had prepared the same rows, and they were taken from its cache. */
  fromCache?: true;
  /** How examples were packed; absent where each is a row of its own. */
  packing?: PackingReport;
  /** Kept rows whose ids and labels equal those of an earlier row, of a stream of one of the first million. They are trained on all the same. */
  duplicates: number;
}
