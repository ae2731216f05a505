// Sets that say much the same: one pattern, few pairs of words, tasks that only the evaluation has.
import { type AuditRow, answersOf, firstPrompt, lastAnswer } from "../audit-row.ts";
import { openingOf } from "../coverage.ts";
import type { Check, Found } from "../finding.ts";
import { flatMapInSlices, mapInSlices } from "../in-slices.ts";

/** Rows below which shares say nothing. */
const few = 10;

/** Words by which openings are compared. */
const opening = 3;

/** One way to open prompts, or answers, in most rows. */
export const onePattern: Check = {
  code: "one-pattern",
  severity: "note",
  remedy: "vary the wording and add other tasks: a model that has seen one pattern answers well to that one only",
  isRemoved: false,
  async find({ rows, limits }) {
    if (rows.length < few) return null;
    const most = limits.maxPatternShare * rows.length;
    return (
      (await commonStart("prompts", rows, firstPrompt, most)) ??
      commonStart("answers", rows, (row) => lastAnswer(row) ?? "", most)
    );
  },
};

async function commonStart(
  what: string,
  rows: readonly AuditRow[],
  textOf: (row: AuditRow) => string,
  most: number,
): Promise<Found | null> {
  const starts = await mapInSlices(rows, (row) => {
    const words = textOf(row).toLowerCase().trim().split(/\s+/u);
    // Labels of a classification are no pattern.
    return words.length > opening ? words.slice(0, opening).join(" ") : "";
  });
  const counts = new Map<string, number>();
  for (const start of starts) if (start !== "") counts.set(start, (counts.get(start) ?? 0) + 1);
  let [start, count] = ["", 0];
  for (const entry of counts) if (entry[1] > count) [start, count] = entry;
  if (count <= most) return null;
  const found = rows.filter((_, n) => starts[n] === start);
  return {
    message: `${Math.round((100 * count) / rows.length)} % of the ${what} open with ${JSON.stringify(start)}`,
    rows: found.map((row) => ({ row, detail: `opens with ${JSON.stringify(start)}` })),
    isOfSet: true,
  };
}

/** Pairs of words below which distinct-2 says nothing. */
const fewPairs = 100;
/** Answers that are looked at: distinct-2 falls with the length of a text, so that sets are compared by as many. */
const sample = 1_000;

/** Answers made of few pairs of words. */
export const lowDiversity: Check = {
  code: "low-diversity",
  severity: "warning",
  remedy: "add diversity to the data: answers of the same phrases teach repetition",
  isRemoved: false,
  async find({ rows, similarity, limits }) {
    const answers = rows.slice(0, sample).flatMap(answersOf);
    const { total, distinct } = await similarity.distinctNgrams(answers, 2);
    if (total < fewPairs || distinct >= limits.minDistinct2 * total) return null;
    const found = rows.slice(0, few).map((row) => ({ row, detail: "one of many alike" }));
    return { message: `distinct-2 of the answers is ${(distinct / total).toFixed(3)}`, rows: found, isOfSet: true };
  },
};

/** Tasks of the evaluation that training never shows. */
export const evalNotCovered: Check = {
  code: "eval-not-covered",
  severity: "note",
  remedy:
    "add rows of these tasks, or evaluate on what is trained: the evaluation measures something else than the training",
  isRemoved: false,
  async find({ rows, evalRows }) {
    if (rows.length < few || evalRows.length < few) return null;
    const trained = new Set(await mapInSlices(rows, (row) => openingOf(firstPrompt(row)).verb));
    const found = await flatMapInSlices(evalRows, (row) => {
      const { verb } = openingOf(firstPrompt(row));
      return verb === "" || trained.has(verb) ? [] : [{ row, detail: `opens with ${JSON.stringify(verb)}` }];
    });
    if (2 * found.length < evalRows.length) return null;
    const share = Math.round((100 * found.length) / evalRows.length);
    return {
      message: `${share} % of the evaluation's prompts open as none of the training's does`,
      rows: found,
      isOfSet: true,
    };
  },
};
