import { stripVTControlCharacters } from "node:util";
import type { DataReport } from "@tunesmith/sdk";
import { expect, test } from "vitest";
import { describeData, describeTemplate } from "./data-line.ts";

const report: DataReport = {
  source: "rows.jsonl",
  format: "messages",
  ignoredColumns: [],
  rows: 1024,
  skipped: { count: 0, first: [] },
  kept: 1000,
  dropped: [],
  truncated: 0,
  truncatedReplies: 0,
  uncounted: 0,
  cutTokens: { prompt: 0, answer: 0 },
  tokens: { min: 5, median: 7, p95: 9, max: 10, total: 7000 },
  trainedTokens: 3500,
  trainedShare: 0.5,
  lossWeights: null,
  prefixMismatches: 0,
  notWritten: [],
  controlTokens: [],
  endsNotTrained: [],
  duplicates: 0,
};

test("a chat template is told by the first digits of its digest", () => {
  expect(describeTemplate("0123456789abcdef")).toBe("chat template 0123456789ab");
  expect(describeTemplate(null)).toBe("no chat template");
});

test("of rows that are read while they are trained on it says that these are not all", () => {
  const line = (more: Partial<DataReport>) => stripVTControlCharacters(describeData({ ...report, ...more }));
  const rest = "(messages), 5/7/9/10 tokens (min/median/p95/max), 50.0 % trained, 24 dropped";
  expect(line({})).toBe(`rows.jsonl: 1000 of 1024 rows ${rest}`);
  expect(line({ streamed: true })).toBe(`rows.jsonl: 1000 of 1024 rows so far ${rest}`);
});
