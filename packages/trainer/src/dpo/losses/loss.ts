// The loss of a micro-batch of pairs, and its derivative by every log-probability.
import { total } from "../../loop/metrics.ts";
import {
  type AnswerValues,
  type PairLosses,
  type PairScore,
  type PairValues,
  scoreOf,
  wholeTokens,
} from "./answers.ts";
import { answerLoss, isAnswerLoss } from "./each-answer.ts";
import { isMarginLoss, marginLoss } from "./margin.ts";
import type { DPOLossSettings, DPOLossType } from "./settings.ts";
import { sortedLoss } from "./sorted.ts";

/** The derivatives by the log-probabilities of both answers' tokens, in their order. */
export interface PairDerivatives {
  chosen: Float64Array;
  rejected: Float64Array;
}

/** What a micro-batch comes to. */
export interface PairsLoss {
  /** Σ weight · mean over pairs, of all losses. */
  loss: number;
  derivatives: PairDerivatives[];
  scores: PairScore[];
}

/** The loss of a micro-batch of pairs: of several losses the weighted sum. */
export function pairsLoss(pairs: readonly PairValues[], settings: DPOLossSettings): PairsLoss {
  const { lossType, lossWeights, ldAlpha } = settings;
  const scores = pairs.map((pair) => scoreOf(pair, ldAlpha));
  const weights = settings.useWeighting ? pairs.map(confidence) : null;
  const derivatives = pairs.map(({ chosen, rejected }) => ({
    chosen: new Float64Array(chosen.logProbs.length),
    rejected: new Float64Array(rejected.logProbs.length),
  }));
  let loss = 0;
  for (const [index, name] of lossType.entries()) {
    const share = lossWeights?.[index] ?? 1;
    if (name === "sft") {
      loss += share * addLikelihood(pairs, derivatives, share);
      continue;
    }
    const found = lossesOf(name, scores, settings);
    for (const [n, pair] of pairs.entries()) {
      const factor = (share * (weights?.[n] ?? 1)) / pairs.length;
      loss += factor * (found.losses[n] as number);
      const into = derivatives[n] as PairDerivatives;
      const whole = wholeTokens(pair);
      add(into.chosen, factor * (found.chosen[n] as number), { whole, ldAlpha });
      add(into.rejected, factor * (found.rejected[n] as number), { whole, ldAlpha });
    }
  }
  return { loss, derivatives, scores };
}

function lossesOf(
  name: Exclude<DPOLossType, "sft">,
  scores: readonly PairScore[],
  settings: DPOLossSettings,
): PairLosses {
  if (isMarginLoss(name)) return marginLoss(name, scores, settings);
  if (isAnswerLoss(name)) return answerLoss(name, scores, settings.beta);
  return sortedLoss(name, scores, settings);
}

/** Adds the derivative by π to that of each token; those that count in part have a part of it. */
function add(into: Float64Array, slope: number, { whole, ldAlpha }: { whole: number; ldAlpha: number | null }): void {
  for (const [t, value] of into.entries()) into[t] = value + (t < whole ? slope : slope * (ldAlpha ?? 1));
}

/** −(mean over all tokens of the chosen answers), and its derivatives. */
function addLikelihood(pairs: readonly PairValues[], derivatives: readonly PairDerivatives[], share: number): number {
  const tokens = Math.max(
    1,
    total(pairs, ({ chosen }) => chosen.logProbs.length),
  );
  let sum = 0;
  for (const [n, { chosen }] of pairs.entries()) {
    const into = derivatives[n]?.chosen ?? new Float64Array();
    for (const [t, value] of chosen.logProbs.entries()) {
      sum -= value;
      into[t] = (into[t] as number) - share / tokens;
    }
  }
  return sum / tokens;
}

/** WPO's weight of a pair (arXiv:2406.11827): how likely the model is to write its answers, next to how sure it is. */
function confidence({ chosen, rejected }: PairValues): number {
  const of = ({ logProbs, logSumSquares }: AnswerValues) => {
    let sum = 0;
    for (const [t, value] of logProbs.entries()) sum += value - (logSumSquares[t] as number);
    return Math.exp(sum / Math.max(1, logProbs.length));
  };
  return of(chosen) * of(rejected);
}
