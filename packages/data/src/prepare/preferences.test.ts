import { DataError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { IGNORE_INDEX } from "../encode/mask.ts";
import { prepare } from "./prepare.ts";

const options = {
  name: "pairs",
  task: "preference",
  datasetFormat: "auto",
  datasetTextField: "text",
  assistantOnlyLoss: true,
  completionOnlyLoss: null,
  maxLength: null,
} as const;

const read = (rows: Record<string, unknown>[], more: Partial<Parameters<typeof prepare>[2]> = {}) =>
  prepare(rows, letterTokenizer, { ...options, ...more });

const pair = (prompt: string, chosen: string, rejected: string) => ({ prompt, chosen, rejected });

test("a row becomes two examples, trained after the prompt that both begin with", async () => {
  const { examples, report } = await read([pair("ab", "cde", "fg"), pair("x", "y", "zz")]);
  expect(examples).toHaveLength(4);
  const [chosen, rejected] = [examples.at(0), examples.at(1)];
  expect([chosen.rowId, rejected.rowId, examples.at(2).rowId, examples.at(3).rowId]).toEqual([0, 0, 1, 1]);
  expect(chosen.ids.subarray(0, 2)).toEqual(rejected.ids.subarray(0, 2));
  // Three letters and the end, two letters and the end.
  for (const [example, answer] of [
    [chosen, 4],
    [rejected, 3],
  ] as const) {
    expect(example.length).toBe(2 + answer);
    expect([...example.labels].map((label) => label !== IGNORE_INDEX)).toEqual([
      false,
      false,
      ...Array.from({ length: answer }, () => true),
    ]);
  }
  expect(report).toMatchObject({
    rows: 2,
    kept: 2,
    format: "preference",
    trainedTokens: 4 + 3 + 2 + 3,
    prefixMismatches: 0,
  });
  expect(report.tokens.total).toBe(6 + 5 + 3 + 4);
});

test("answers are cut at maxLength, and a prompt that fills it is a counted row that is left out", async () => {
  const rows = [pair("ab", "cdefgh", "i"), pair("abcdef", "g", "h"), pair("abcd", "e", "f")];
  const { examples, report, locate } = await read(rows, { maxLength: 5 });
  expect([...examples].map(({ length, truncated }) => [length, truncated])).toEqual([
    [5, true],
    [4, false],
    [5, true],
    [5, true],
  ]);
  expect(report.dropped).toEqual([
    { source: "pairs", line: 2, reason: "the prompt fills maxLength 5 (it has 6 tokens)" },
  ]);
  expect(report).toMatchObject({ rows: 3, kept: 2, truncated: 2, cutTokens: { prompt: 0, answer: 4 + 2 } });
  expect(locate(2)).toBe("pairs:3");
});

test("answers that are equal, and weights, are errors that name the row", async () => {
  const bad = [pair("a", "b", "c"), pair("a", "b", "b"), { ...pair("a", "b", "c"), weight: 2 }];
  await expect(read(bad)).rejects.toThrow(DataError);
  await expect(read(bad)).rejects.toThrow(/pairs:2: expected two answers to compare/u);
  await expect(read([bad[2] ?? {}])).rejects.toThrow(/pairs:1: expected no "weight"/u);
  const { report } = await read(bad, { onBadRow: "skip" });
  expect(report).toMatchObject({ kept: 1, skipped: { count: 2 } });
});

test("preferences are no rows for supervised fine-tuning, and other rows are none for preferences", async () => {
  await expect(read([pair("a", "b", "c")], { task: "supervised" })).rejects.toThrow(DataError);
  const answers = read([{ prompt: "a", completion: "b" }]);
  await expect(answers).rejects.toThrow(DataError);
  await expect(answers).rejects.toThrow(/give rows with a chosen and a rejected answer, or train on these with/u);
});

test("equal preferences are duplicates, and the fingerprint tells which answer is preferred", async () => {
  const { report, fingerprint } = await read([pair("a", "b", "c"), pair("a", "b", "c")]);
  expect(report.duplicates).toBe(1);
  const turned = await read([pair("a", "c", "b"), pair("a", "c", "b")]);
  expect(turned.fingerprint).not.toBe(fingerprint);
});
