// Rewards of length and repetition.
import { OptionError } from "@tunesmith/core";
import type { RewardFunction } from "../reward.ts";
import { named } from "./named.ts";

/**
 * 0 up to `maxCompletionLen − softPunishCache` tokens, falling from there to −1 at `maxCompletionLen` (DAPO, arXiv:2503.14476; TRL's
 * get_soft_overlong_punishment).
 */
export function getSoftOverlongPunishment({
  maxCompletionLen,
  softPunishCache,
}: {
  /** Tokens of the longest completion. */
  maxCompletionLen: number;
  /** Tokens before it within which it falls. */
  softPunishCache: number;
}): RewardFunction {
  if (!(softPunishCache > 0) || !(softPunishCache <= maxCompletionLen))
    throw new OptionError(
      `[softPunishCache] expected a number above 0 and at most maxCompletionLen ${maxCompletionLen}, got ${softPunishCache}; correct it`,
    );
  const free = maxCompletionLen - softPunishCache;
  return named("softOverlongPunishmentReward", ({ completionIds }) =>
    // The negative zero of a completion within the free length would be another bit.
    completionIds.map(({ length }) => (length <= free ? 0 : Math.max(-1, (free - length) / softPunishCache))),
  );
}

/** From 0 without a repeated n-gram of tokens to `maxPenalty` (arXiv:2502.03373; TRL's get_repetition_penalty_reward). */
export function getRepetitionPenaltyReward({
  ngramSize = 3,
  maxPenalty = -1,
}: {
  /** Tokens of an n-gram. Default 3 (TRL). */
  ngramSize?: number;
  /** Default −1 (TRL). */
  maxPenalty?: number;
} = {}): RewardFunction {
  if (!Number.isSafeInteger(ngramSize) || ngramSize < 1)
    throw new OptionError(`[ngramSize] expected a whole number above 0, got ${ngramSize}; correct it`);
  if (!(maxPenalty <= 0)) throw new OptionError(`[maxPenalty] expected 0 or less, got ${maxPenalty}; correct it`);
  return named("repetitionPenaltyReward", ({ completionIds }) =>
    completionIds.map((ids) => {
      const total = ids.length - ngramSize + 1;
      if (total < 1) return 0;
      const different = new Set<string>();
      for (let start = 0; start < total; start += 1) different.add(ids.subarray(start, start + ngramSize).join());
      return different.size === total ? 0 : (1 - different.size / total) * maxPenalty;
    }),
  );
}
