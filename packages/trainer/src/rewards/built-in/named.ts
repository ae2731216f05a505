// What the built-in reward functions have in common.
import { OptionError } from "@tunesmith/core";
import type { RewardFunction, RewardInput } from "../reward.ts";

/** A function under the name that metrics have. */
export function named(name: string, reward: RewardFunction): RewardFunction {
  return Object.defineProperty(reward, "name", { value: name });
}

/** A column of the rows as texts; a number is written as JavaScript writes it, null stays. One that is absent is an `OptionError`. */
export function textColumn(input: RewardInput, column: string): (string | null)[] {
  const given = input[column];
  if (!Array.isArray(given))
    throw new OptionError(
      `[reward.column] expected the column "${column}" in the rows, got none; name the column that holds the answer`,
    );
  return given.map((value: unknown) => {
    if (value === null || value === undefined) return null;
    if (typeof value === "string" || typeof value === "number") return String(value);
    throw new OptionError(
      `[reward.column] expected texts or numbers in the column "${column}", got ${JSON.stringify(value)}; correct the rows`,
    );
  });
}

/** A value for each completion that its row has an answer to; null for the others. */
export function compared(
  input: RewardInput,
  column: string,
  rate: (completion: string, answer: string, index: number) => number | null,
): (number | null)[] {
  const answers = textColumn(input, column);
  return input.completions.map((completion, n) => {
    const answer = answers[n] ?? null;
    return answer === null ? null : rate(completion, answer, n);
  });
}
