// Alignment by optimal transport (AOT, arXiv:2406.05882): not pair by pair, but rank by rank over the micro-batch.
import { logSigmoid, noLosses, type PairLosses, type PairScore, sigmoid } from "./answers.ts";
import type { DPOLossSettings } from "./settings.ts";

/**
 * `aot` compares the margins by the model with those by the reference, each sorted; `aot_unpaired` the ratios of chosen answers with those
 * of rejected ones. The n-th loss is that of the n-th rank.
 */
export function sortedLoss(
  name: "aot" | "aot_unpaired",
  pairs: readonly PairScore[],
  { beta, labelSmoothing: epsilon }: DPOLossSettings,
): PairLosses {
  const result = noLosses(pairs.length);
  const isPaired = name === "aot";
  const better = ranked(pairs, ({ chosen, rejected }) => (isPaired ? chosen.policy - rejected.policy : chosen.ratio));
  const worse = ranked(pairs, ({ chosen, rejected }) =>
    isPaired ? chosen.reference - rejected.reference : rejected.ratio,
  );
  for (const [rank, { pair, value }] of better.entries()) {
    const other = worse[rank] ?? { pair, value };
    const z = beta * (value - other.value);
    result.losses[rank] = -(1 - epsilon) * logSigmoid(z) - epsilon * logSigmoid(-z);
    const slope = beta * (epsilon * sigmoid(z) - (1 - epsilon) * sigmoid(-z));
    result.chosen[pair] = slope;
    result.rejected[isPaired ? pair : other.pair] = -slope;
  }
  return result;
}

/** Values of pairs in rising order, each with the pair that it is of. */
function ranked(pairs: readonly PairScore[], of: (pair: PairScore) => number): { pair: number; value: number }[] {
  return pairs.map((score, pair) => ({ pair, value: of(score) })).sort((a, b) => a.value - b.value);
}
