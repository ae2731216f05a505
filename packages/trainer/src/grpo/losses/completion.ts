// What the losses of group relative policy optimization are functions of.

/**
 * The trained tokens of one completion: every column has one value per such token, in their order. What a tool wrote, and a completion that
 * is masked because it was cut, has none; the completion still counts as one.
 */
export interface CompletionValues {
  /** log p by the model, in nats. */
  logProbs: ArrayLike<number>;
  /** −Σ p · log p, in nats. */
  entropies: ArrayLike<number>;
  /** log p by the model that wrote the completion; null: that is the model as it is, so that every ratio is 1. */
  oldLogProbs: ArrayLike<number> | null;
  /** log p by the reference; null where none is asked. */
  referenceLogProbs: ArrayLike<number> | null;
  /** How much better it is than the others of its prompt. */
  advantage: number;
}

/** Trained tokens of all completions. */
export function tokensOf(completions: readonly CompletionValues[]): number {
  return completions.reduce((sum, { logProbs }) => sum + logProbs.length, 0);
}

/** log p by the model minus log p by the one that wrote the tokens. */
export function logRatios({ logProbs, oldLogProbs }: CompletionValues): Float64Array {
  return Float64Array.from(logProbs, (value, t) => (oldLogProbs === null ? 0 : value - (oldLogProbs[t] as number)));
}
