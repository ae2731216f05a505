// What the losses of preference optimization are functions of: how much likelier each answer is than by the reference.

/** The values of one answer's tokens, in their order. */
export interface AnswerValues {
  /** log p by the model, in nats. */
  logProbs: Float32Array;
  /** log p by the reference. */
  referenceLogProbs: Float32Array;
  /** log Σ p²; read with `useWeighting` alone. */
  logSumSquares: Float32Array;
}

/** Two answers to one prompt. */
export interface PairValues {
  chosen: AnswerValues;
  rejected: AnswerValues;
}

/** One answer in numbers. */
export interface AnswerScore {
  /** π: Σ log p by the model. */
  policy: number;
  /** ρ: Σ log p by the reference. */
  reference: number;
  /** u = π − ρ. */
  ratio: number;
  /** Tokens that have a log-probability; 1 where there is none, so that nothing is divided by 0. */
  length: number;
}

/** Two answers in numbers. */
export interface PairScore {
  chosen: AnswerScore;
  rejected: AnswerScore;
}

/** The losses of the pairs of a micro-batch, and the derivative of their sum by π of each answer. */
export interface PairLosses {
  losses: Float64Array;
  chosen: Float64Array;
  rejected: Float64Array;
}

/** Tokens of an answer that count whole: with `ldAlpha` as many as the shorter answer of the pair has (LD-DPO, arXiv:2409.06411). */
export function wholeTokens({ chosen, rejected }: PairValues): number {
  return Math.min(chosen.logProbs.length, rejected.logProbs.length);
}

/** A pair in numbers. Tokens beyond the shorter answer's count `ldAlpha` times; null: all count whole. */
export function scoreOf(pair: PairValues, ldAlpha: number | null): PairScore {
  const whole = wholeTokens(pair);
  const sum = (values: Float32Array) => {
    let [shared, beyond] = [0, 0];
    for (const [n, value] of values.entries()) {
      if (n < whole) shared += value;
      else beyond += value;
    }
    return shared + (ldAlpha ?? 1) * beyond;
  };
  const score = ({ logProbs, referenceLogProbs }: AnswerValues): AnswerScore => {
    const [policy, reference] = [sum(logProbs), sum(referenceLogProbs)];
    return { policy, reference, ratio: policy - reference, length: Math.max(1, logProbs.length) };
  };
  return { chosen: score(pair.chosen), rejected: score(pair.rejected) };
}

/** Losses of as many pairs, all 0. */
export function noLosses(pairs: number): PairLosses {
  return { losses: new Float64Array(pairs), chosen: new Float64Array(pairs), rejected: new Float64Array(pairs) };
}

/** σ(x). */
export function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

/** ln σ(x), finite for every finite x. */
export function logSigmoid(x: number): number {
  return Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
}
