// Rewards of the right answer.
import { OptionError } from "@tunesmith/core";
import type { RewardFunction, RewardInput } from "../reward.ts";
import { compared, named } from "./named.ts";

/** Where the answer of a row is, and where that of a completion. */
export interface AccuracyOptions {
  /** Column with the right answer. Default `solution` (TRL). */
  column?: string;
  /** Takes the answer out of a completion: its first group, or the whole match. Default: the whole completion. */
  extract?: RegExp | undefined;
}

/**
 * 1 where the answer of a completion is that of its row, white space at the ends and case aside, else 0. A row without an answer has no
 * reward.
 */
export function getExactAccuracyReward({ column = "solution", extract }: AccuracyOptions = {}): RewardFunction {
  return named("exactAccuracyReward", (input) =>
    compared(input, column, (completion, answer) => {
      const given = extracted(completion, extract);
      return given !== null && plain(given) === plain(answer) ? 1 : 0;
    }),
  );
}

/**
 * 1 where the last number of a completion, or of what `extract` takes out of it, is that of its row, else 0. Thousands may be apart by
 * commas; a row without a number has no reward.
 */
export function getNumericAccuracyReward({
  column = "solution",
  extract,
  tolerance = 1e-9,
}: AccuracyOptions & {
  /** Largest difference, relative to the right number. Default 1e-9. */
  tolerance?: number;
} = {}): RewardFunction {
  if (!(tolerance >= 0)) throw new OptionError(`[tolerance] expected 0 or more, got ${tolerance}; correct it`);
  return named("numericAccuracyReward", (input) =>
    compared(input, column, (completion, answer) => {
      const right = lastNumber(answer);
      if (right === null) return null;
      const given = lastNumber(extracted(completion, extract) ?? "");
      return given !== null && Math.abs(given - right) <= tolerance * Math.max(1, Math.abs(right)) ? 1 : 0;
    }),
  );
}

/** Bounds of the cosine-scaled reward. */
export interface CosineOptions {
  /** Tokens of the longest completion. */
  maxLen: number;
  /** What says whether a completion is right: more than 0 is. Default: exact accuracy on the column `solution`. */
  correct?: RewardFunction;
  /** Default −1 (TRL): a wrong completion without a token. */
  minValueWrong?: number;
  /** Default −0.5 (TRL): a wrong completion of `maxLen` tokens. */
  maxValueWrong?: number;
  /** Default 0.5 (TRL): a right completion of `maxLen` tokens. */
  minValueCorrect?: number;
  /** Default 1 (TRL): a right completion without a token. */
  maxValueCorrect?: number;
}

/** Right completions are worth more the shorter they are, wrong ones more the longer (arXiv:2502.03373, TRL's get_cosine_scaled_reward). */
export function getCosineScaledReward({
  maxLen,
  correct = getExactAccuracyReward(),
  minValueWrong = -1,
  maxValueWrong = -0.5,
  minValueCorrect = 0.5,
  maxValueCorrect = 1,
}: CosineOptions): RewardFunction {
  if (!Number.isSafeInteger(maxLen) || maxLen < 1)
    throw new OptionError(`[maxLen] expected a whole number above 0, got ${maxLen}; give maxCompletionLength`);
  return named("cosineScaledReward", async (input: RewardInput) => {
    const found = await correct(input);
    return input.completionIds.map(({ length }, n) => {
      const value = found[n] ?? null;
      if (value === null) return null;
      const [low, high] = value > 0 ? [minValueCorrect, maxValueCorrect] : [maxValueWrong, minValueWrong];
      return low + 0.5 * (high - low) * (1 + Math.cos((Math.PI * length) / maxLen));
    });
  });
}

function extracted(completion: string, extract: RegExp | undefined): string | null {
  if (extract === undefined) return completion;
  const found = new RegExp(extract.source, extract.flags.replace(/[gy]/gu, "")).exec(completion);
  return found === null ? null : (found[1] ?? found[0]);
}

function plain(text: string): string {
  return text.trim().toLowerCase();
}

/** The last number of a text; null without one. */
function lastNumber(text: string): number | null {
  const found = text.match(/[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+/gu)?.at(-1);
  return found === undefined ? null : Number(found.replaceAll(",", ""));
}
