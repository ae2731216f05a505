// Losses that weigh the log-probability itself, by a ratio that has no gradient.
import { type CompletionValues, logRatios } from "./completion.ts";
import { sum } from "./importance.ts";
import type { PolicyTerm } from "./policy.ts";
import type { PolicySettings } from "./settings.ts";

/** −[min(r, ε_high)]·A·log p: no token loses its gradient (CISPO, arXiv:2506.13585). */
export const cispoTerm: PolicyTerm = ({ advantage, logProbs }, { ratios }, { epsilonHigh }) => {
  return (token) => weighted(Math.min(ratios[token] as number, epsilonHigh) * advantage, logProbs[token] as number);
};

/** −[φ]·A·log p, with one weight of the whole completion (VESPO, as TRL 1.16 has it). */
export const vespoTerm: PolicyTerm = (completion, _, settings) => {
  const weight = vespoWeight(completion, settings) * completion.advantage;
  return (token) => weighted(weight, completion.logProbs[token] as number);
};

function weighted(weight: number, logProb: number) {
  return { value: -weight * logProb, byRatio: 0, byLogProb: -weight };
}

/** Within it each token's log ratio counts, and the sum of them. */
const largestLogRatio = 20;
const leastLogWeight = Math.log(1e-8);

/** φ = exp(λ + k·s − λ·exp s) of a completion, s the sum of its log ratios. */
export function vespoWeight(completion: CompletionValues, settings: PolicySettings): number {
  const { vespoKPos, vespoLambdaPos, vespoKNeg, vespoLambdaNeg } = settings;
  const [k, lambda] = completion.advantage >= 0 ? [vespoKPos, vespoLambdaPos] : [vespoKNeg, vespoLambdaNeg];
  const ratios = logRatios(completion).map((value) => Math.min(Math.max(value, -largestLogRatio), largestLogRatio));
  const log = Math.min(Math.max(sum(ratios), leastLogWeight), largestLogRatio);
  return Math.exp(lambda + k * log - lambda * Math.exp(log));
}
