// Rows that are too long, of which too little is trained, or whose end is not.

import type { Check, Noted } from "../finding.ts";
import type { MeasuredRow } from "../measured.ts";

/** Rows longer than a run keeps. */
export const overMaxLength: Check = {
  code: "over-max-length",
  severity: "warning",
  remedy: "raise maxLength, shorten these rows, or leave them out with truncationMode drop; a cut answer has no end",
  isRemoved: false,
  find({ measured }) {
    if (measured === null) return null;
    const { rows, maxLength } = measured;
    const found = noted(rows, ({ tokens, trained, trainedWithin }) =>
      tokens <= maxLength ? null : `${tokens} tokens, ${trained - trainedWithin} of ${trained} trained ones are cut`,
    );
    return { message: `rows longer than maxLength ${maxLength}`, rows: found };
  },
};

/** Rows of which nothing is trained, and sets of which little is. */
export const fewTrainedTokens: Check = {
  code: "few-trained-tokens",
  severity: "warning",
  remedy:
    "shorten the prompts, lengthen maxLength, or check which turns are trained (assistantOnlyLoss, weight, train)",
  isRemoved: false,
  find({ measured, limits }) {
    if (measured === null || measured.rows.length === 0) return null;
    const sum = (of: (row: MeasuredRow) => number) => measured.rows.reduce((total, row) => total + of(row), 0);
    const share = sum(({ trainedWithin }) => trainedWithin) / sum(({ tokens }) => Math.min(tokens, measured.maxLength));
    const isOfSet = share < limits.minTrainedShare;
    const none = noted(measured.rows, ({ trainedWithin }) => (trainedWithin > 0 ? null : "no token is trained"));
    const little = noted(measured.rows, ({ tokens, trainedWithin }) => `${trainedWithin} of ${tokens} tokens`);
    const percent = `${(100 * share).toFixed(1)} %`;
    return isOfSet
      ? { message: `only ${percent} of the tokens are trained`, rows: little, isOfSet }
      : { message: "rows of which no token is trained", rows: none };
  },
};

/** Answers that are trained without the token that ends them. */
export const answerWithoutEos: Check = {
  code: "answer-without-eos",
  severity: "error",
  remedy:
    "end answers with the end-of-sequence token: put it inside the template's {% generation %} tags, or append it to tokenised rows; without it the model does not stop",
  isRemoved: false,
  find({ measured }) {
    if (measured === null) return null;
    const found = noted(measured.rows, ({ ends, trained }) =>
      ends || trained === 0 ? null : "the last trained token is no special one",
    );
    return { message: "answers that are trained without an end of sequence", rows: found };
  },
};

function noted(rows: readonly MeasuredRow[], look: (row: MeasuredRow) => string | null): Noted[] {
  return rows.flatMap((measured) => {
    const detail = look(measured);
    return detail === null ? [] : [{ row: measured.row, detail }];
  });
}
