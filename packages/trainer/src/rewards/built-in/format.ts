// Rewards of the form of a completion.
import { OptionError } from "@tunesmith/core";
import type { RewardFunction } from "../reward.ts";
import { named } from "./named.ts";

/** 1 for a completion that begins with one `<think>…</think>`, else 0 (TRL's think_format_reward). */
export const thinkFormatReward: RewardFunction = named("thinkFormatReward", ({ completions }) =>
  // The whole text is one line to the dot, and ^ stands at its start alone.
  completions.map((text) => (/^<think>(?!.*<think>).*?<\/think>.*$/su.test(text) ? 1 : 0)),
);

/**
 * `match` for a completion that a pattern matches, else `noMatch`.
 *
 * @param pattern anywhere in the text; `^` and `$` bind it to its ends
 */
export function getFormatReward({
  pattern,
  match = 1,
  noMatch = 0,
}: {
  pattern: RegExp;
  /** Default 1. */
  match?: number;
  /** Default 0. */
  noMatch?: number;
}): RewardFunction {
  if (!(pattern instanceof RegExp))
    throw new OptionError(
      `[pattern] expected a regular expression, got ${String(pattern)}; give one, such as /<answer>/u`,
    );
  // One with a place of its own would go on where it was.
  const fresh = new RegExp(pattern.source, pattern.flags.replace(/[gy]/gu, ""));
  return named("formatReward", ({ completions }) => completions.map((text) => (fresh.test(text) ? match : noMatch)));
}
