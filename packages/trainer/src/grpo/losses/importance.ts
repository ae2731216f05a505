// How much likelier the tokens of a completion are than they were when it was written.
import { type CompletionValues, logRatios } from "./completion.ts";
import type { GRPOLossSettings } from "./settings.ts";

/** The importance ratios of a completion's tokens. */
export interface Importance {
  /** One per token; at sequence level all are the same. */
  ratios: Float64Array;
  /** The ratio of the whole completion at sequence level; null at token level. */
  ofSequence: number | null;
  /** Derivatives by the log-probabilities, from derivatives by the ratios. */
  byLogProb(byRatio: Float64Array): Float64Array;
}

/**
 * Ratios of the tokens, or at sequence level one of the completion: the geometric mean of its tokens' (GSPO, arXiv:2507.18071). Its
 * gradient goes into all of its tokens.
 */
export function importanceOf(
  completion: CompletionValues,
  { importanceSamplingLevel: level }: Pick<GRPOLossSettings, "importanceSamplingLevel">,
): Importance {
  const differences = logRatios(completion);
  if (level === "token") {
    const ratios = differences.map(Math.exp);
    return {
      ratios,
      ofSequence: null,
      byLogProb: (byRatio) => byRatio.map((slope, t) => slope * (ratios[t] as number)),
    };
  }
  const tokens = Math.max(1, differences.length);
  const ratio = Math.exp(sum(differences) / tokens);
  return {
    ratios: differences.map(() => ratio),
    ofSequence: ratio,
    byLogProb: (byRatio) => byRatio.map(() => (sum(byRatio) * ratio) / tokens),
  };
}

/** Σ of a list. */
export function sum(values: ArrayLike<number>): number {
  let result = 0;
  for (let n = 0; n < values.length; n += 1) result += values[n] as number;
  return result;
}
