// Answers that repeat themselves.
import type { NgramCount } from "@tunesmith/core";
import { answersOf } from "../audit-row.ts";
import type { Check } from "../finding.ts";
import { flatMapInSlices } from "../in-slices.ts";

/** Answers that are counted together: to hand over all of them at once would hold the event loop. */
const batch = 2_000;
/** Words of an n-gram. */
const n = 4;
/** n-grams below which an answer is too short to tell. */
const least = 12;
/** Share of n-grams that stood in the answer before, above which it repeats itself. */
const share = 0.3;

/** How often a run stands in an answer, and the share of its words that this makes, from which on it repeats itself too. */
const often = { times: 5, share: 0.15 };

/** Answers in which runs of four words come again and again. */
export const repeatedNgrams: Check = {
  code: "repeated-ngrams",
  severity: "warning",
  remedy:
    "remove or rewrite these answers, and add diversity; a model repeats what its data repeats, whatever temperature it samples with",
  isRemoved: true,
  async find({ rows, similarity }) {
    const answers = await flatMapInSlices(rows, (row) => answersOf(row).map((text) => ({ row, text })));
    const counted: NgramCount[] = [];
    for (let from = 0; from < answers.length; from += batch) {
      const texts = answers.slice(from, from + batch).map(({ text }) => text);
      for (const count of await similarity.countNgrams(texts, n)) counted.push(count);
    }
    const found = await flatMapInSlices(counted, ({ total, distinct, most, frequent }, place) => {
      const row = answers[place]?.row;
      const isOften = most >= often.times && most * n >= often.share * total;
      if (row === undefined || total < least || (total - distinct < share * total && !isOften)) return [];
      const percent = Math.round((100 * (total - distinct)) / total);
      return [
        {
          row,
          detail: `${percent} % of its ${n}-grams are repeats, ${JSON.stringify(frequent)} stands there ${most} times`,
        },
      ];
    });
    const once = [...new Map(found.map((entry) => [entry.row, entry])).values()];
    return { message: `answers that repeat runs of ${n} words`, rows: once };
  },
};
