// Tokens and completions that have no policy term.
import { type CompletionValues, logRatios } from "./completion.ts";
import { sum } from "./importance.ts";
import type { GRPOLossSettings } from "./settings.ts";

/**
 * Entropy from which on a token has a policy term, so that those of the highest entropy have one (arXiv:2506.01939): the quantile 1 − share
 * of the micro-batch's entropies, linear between ranks.
 *
 * @param share of the tokens that have one
 */
export function entropyThreshold(completions: readonly CompletionValues[], share: number): number {
  if (share >= 1) return Number.NEGATIVE_INFINITY;
  const sorted = Float64Array.from(completions.flatMap(({ entropies }) => Array.from(entropies))).sort();
  const rank = (1 - share) * (sorted.length - 1);
  const below = sorted[Math.floor(rank)];
  if (below === undefined) return Number.POSITIVE_INFINITY;
  const above = sorted[Math.ceil(rank)] ?? below;
  return below + (rank - Math.floor(rank)) * (above - below);
}

/**
 * Whether a completion of negative advantage has become so unlikely to the model that it says nothing of it any more (DeepSeek-V3.2,
 * arXiv:2512.02556).
 */
export function isOffPolicy(
  completion: CompletionValues,
  { offPolicyMaskThreshold: threshold }: Pick<GRPOLossSettings, "offPolicyMaskThreshold">,
): boolean {
  if (threshold === null || completion.advantage >= 0) return false;
  return -sum(logRatios(completion)) / Math.max(1, completion.logProbs.length) > threshold;
}
