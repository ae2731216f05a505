// Answers that are shorter than what the model will be used for.
import { type AuditRow, firstPrompt, lastAnswer } from "../audit-row.ts";
import type { Check } from "../finding.ts";
import { flatMapInSlices } from "../in-slices.ts";
import { countWords } from "../words.ts";

/** Answers below the expected number of words, or below what their own prompt asks for. */
export const shortAnswer: Check = {
  code: "short-answer",
  severity: "warning",
  remedy:
    "train on answers as long as those you expect, and check how their end of sequence was handled; short answers teach truncated outputs",
  isRemoved: false,
  async find({ rows, limits: { expectedAnswerWords: expected } }) {
    const found = await flatMapInSlices(rows, (row) => {
      const answer = lastAnswer(row);
      if (answer === null || answer.trim() === "") return [];
      const words = countWords(answer);
      const asked = expected ?? askedWords(row);
      return words >= asked
        ? []
        : [{ row, detail: `${words} words where ${asked} are ${expected === null ? "asked for" : "expected"}` }];
    });
    return { message: "answers shorter than the use they are for", rows: found };
  },
};

/** What asks for more than a sentence, where it says no number. */
const long =
  /\b(?:write|compose|draft|give|provide|create|tell)\b.{0,40}\b(?:essay|article|blog post|story|report|letter|speech|tutorial|detailed|in[- ]depth|comprehensive|thorough|step[- ]by[- ]step)|\b(?:explain|describe|discuss|analy[sz]e)\b.{0,60}\b(?:in (?:great |full )?detail|thoroughly|at length|step by step)\b/iu;
const longWords = 20;

/** A number of words that is asked for, rather than told of. */
const counted =
  /(?:\b(?:at least|minimum of|in (?:about|around|approximately)?)|(?:^|[.!?:]\s+)(?:please\s+)?(?:write|compose|draft|give|provide|create|generate)\b[^.!?]{0,60}?)\s*\b(\d{2,4})[- ]words?\b/iu;

/** Words that a prompt asks for at least; half of what it says, as people count loosely. */
function askedWords(row: AuditRow): number {
  const prompt = firstPrompt(row);
  const isLimit =
    /\b(?:at most|no more than|under|fewer than|less than|maximum of|up to|within|max)\b[^.]{0,20}\d/iu.test(prompt);
  if (isLimit) return 0;
  const [, number] = counted.exec(prompt) ?? [];
  if (number !== undefined) return Math.floor(Number(number) / 2);
  return long.test(prompt) && !/\b(?:one|a single|two) (?:sentence|line|word|paragraph)/iu.test(prompt) ? longWords : 0;
}
