// What early stopping and best-model tracking remember.

/** What early stopping and best-model tracking remember. Plain values: it is part of a checkpoint. */
export interface BestState {
  /** Best value of the metric so far, and the step it was reached at. */
  best: number | null;
  bestStep: number | null;
  /** Step of the newest checkpoint that was the best when it was written; null without one. */
  keptStep: number | null;
  /** Evaluations in a row without an improvement. */
  withoutImprovement: number;
  /** Metric that chooses, and fingerprint of the rows it is measured on; null before the first evaluation. */
  metric: string | null;
  evaluation: string | null;
}

/** Before the first evaluation. */
export function emptyBest(): BestState {
  return { best: null, bestStep: null, keptStep: null, withoutImprovement: 0, metric: null, evaluation: null };
}

/**
 * Takes in one evaluation and says whether it is the best so far. The semantics of Hugging Face's EarlyStoppingCallback: patience counts
 * evaluations, an improvement must exceed the threshold to reset it, and the best value moves with any improvement.
 */
export function observe(
  state: BestState,
  value: number,
  step: number,
  { greaterIsBetter, threshold }: { greaterIsBetter: boolean; threshold: number },
): boolean {
  const { best } = state;
  const gain = greaterIsBetter
    ? value - (best ?? Number.NEGATIVE_INFINITY)
    : (best ?? Number.POSITIVE_INFINITY) - value;
  state.withoutImprovement = gain > 0 && gain > threshold ? 0 : state.withoutImprovement + 1;
  if (!(gain > 0)) return false;
  state.best = value;
  state.bestStep = step;
  return true;
}

/** Whether the evaluations so far end the run. */
export function stopsEarly(state: BestState, earlyStoppingPatience: number | null): boolean {
  return earlyStoppingPatience !== null && state.withoutImprovement >= earlyStoppingPatience;
}
