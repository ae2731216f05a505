// Notices that the evaluation loss rises while the training loss falls.
import { ratio } from "./metrics.ts";
import type { TrainerState } from "./state.ts";

/** Evaluations in a row that must show it. */
const evaluations = 3;

/**
 * Takes in an evaluation and gives a warning when the evaluation loss has risen while the training loss has fallen, three
 * evaluations in a row.
 */
export function watchOverfitting(state: Pick<TrainerState, "recent" | "since_eval">, evalLoss: number): string | null {
  state.recent.push({ trainLoss: ratio(state.since_eval.lossSum, state.since_eval.weightSum), evalLoss });
  state.since_eval = { lossSum: 0, weightSum: 0 };
  state.recent = state.recent.slice(-evaluations - 1);
  if (state.recent.length <= evaluations) return null;
  for (const [n, { trainLoss, evalLoss: now }] of state.recent.entries()) {
    const before = state.recent[n - 1];
    if (before !== undefined && !(now > before.evalLoss && trainLoss < before.trainLoss)) return null;
  }
  const first = state.recent[0]?.evalLoss ?? evalLoss;
  // Said once; three further such evaluations say it again.
  state.recent = state.recent.slice(-1);
  return `overfitting: the evaluation loss has risen ${evaluations} times in a row (${first.toFixed(4)} to ${evalLoss.toFixed(4)}) while the training loss fell; train for fewer epochs, or set earlyStoppingPatience and loadBestModelAtEnd`;
}
