// What a micro-batch of completions says of how far the model has moved, by TRL's names.
import type { MetricSums } from "../../loop/metrics.ts";
import { type CompletionValues, tokensOf } from "./completion.ts";
import { sum } from "./importance.ts";
import type { CompletionScore } from "./loss.ts";
import { isClipped } from "./policy.ts";
import type { GRPOLossSettings } from "./settings.ts";
import { vespoWeight } from "./weighted.ts";

/** A completion with its numbers. */
interface Scored {
  completion: CompletionValues;
  score: CompletionScore;
}

/** Shares and means of a micro-batch. What a loss does not have is left out, and what has no token to be of has the weight 0. */
export function lossMetrics(
  completions: readonly CompletionValues[],
  scores: readonly CompletionScore[],
  settings: GRPOLossSettings,
): Record<string, MetricSums> {
  const rows = completions.map((completion, n) => ({ completion, score: scores[n] as CompletionScore }));
  const tokens = tokensOf(completions);
  const overTokens = (of: (row: Scored) => ArrayLike<number>) => ({
    sum: sum(rows.map((row) => sum(of(row)))),
    weight: tokens,
  });
  return {
    entropy: overTokens(({ completion }) => completion.entropies),
    ...(settings.beta !== 0 && { kl: overTokens(({ score }) => score.divergences) }),
    ...(isClipped(settings.lossType) && clipRatios(rows, settings)),
    ...(settings.lossType === "cispo" && {
      cispo_clip_ratio: share(rows, ({ advantage }, ratio) => ratio > settings.epsilonHigh && advantage > 0),
    }),
    ...(settings.lossType === "vespo" && {
      "vespo/phi_seq_mean": {
        sum: sum(completions.map((completion) => vespoWeight(completion, settings))),
        weight: completions.length,
      },
    }),
  };
}

/** Which ratios are beyond the range on the side that matters. */
type Test = (completion: CompletionValues, ratio: number) => boolean;

function clipRatios(rows: readonly Scored[], { epsilon, epsilonHigh, delta }: GRPOLossSettings) {
  const bounded = (ratio: number) => Math.min(ratio, delta ?? Number.POSITIVE_INFINITY);
  const isLow: Test = ({ advantage }, ratio) => bounded(ratio) < 1 - epsilon && advantage < 0;
  const isHigh: Test = ({ advantage }, ratio) => bounded(ratio) > 1 + epsilonHigh && advantage > 0;
  const shares = (test: Test) =>
    rows.flatMap((row) => (row.completion.logProbs.length === 0 ? [] : [meanOf(share([row], test))]));
  const extreme = (values: readonly number[], pick: (...of: number[]) => number) =>
    values.length === 0 ? { sum: 0, weight: 0 } : { sum: pick(...values), weight: 1 };
  return {
    "clip_ratio/low_mean": share(rows, isLow),
    "clip_ratio/low_min": extreme(shares(isLow), Math.min),
    "clip_ratio/high_mean": share(rows, isHigh),
    "clip_ratio/high_max": extreme(shares(isHigh), Math.max),
    "clip_ratio/region_mean": share(rows, (completion, ratio) => isLow(completion, ratio) || isHigh(completion, ratio)),
  };
}

/** Share of the tokens that a test holds of; at sequence level of the completions, masked ones included. */
function share(rows: readonly Scored[], test: Test): MetricSums {
  let [held, of] = [0, 0];
  for (const { completion, score } of rows) {
    const { ofSequence, ratios } = score.importance;
    const all = ofSequence === null ? ratios : [ofSequence];
    of += all.length;
    for (const ratio of all) if (test(completion, ratio)) held += 1;
  }
  return { sum: held, weight: of };
}

function meanOf({ sum: total, weight }: MetricSums): number {
  return total / weight;
}
