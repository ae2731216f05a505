// Prompts that have several answers.
import { type AuditRow, lastAnswer, normalized, promptOf } from "../audit-row.ts";
import type { Check } from "../finding.ts";
import { flatMapInSlices } from "../in-slices.ts";

/** Rows with the same prompt and another answer than an earlier row. */
export const conflictingAnswers: Check = {
  code: "conflicting-answers",
  severity: "warning",
  remedy:
    "keep the right answer, or add to the prompt what tells the cases apart; the model learns a mean of answers that contradict each other",
  isRemoved: false,
  async find({ rows }) {
    const first = new Map<string, { row: AuditRow; answer: string }>();
    const found = await flatMapInSlices(rows, (row) => {
      const answer = lastAnswer(row);
      const prompt = promptOf(row);
      if (answer === null || prompt === "") return [];
      const earlier = first.get(prompt);
      if (earlier === undefined) first.set(prompt, { row, answer: normalized(answer) });
      if (earlier === undefined || earlier.answer === normalized(answer)) return [];
      return [{ row, detail: `another answer than ${earlier.row.place} to the same prompt` }];
    });
    return { message: "rows that answer a prompt otherwise than an earlier row", rows: found };
  },
};
