// When an arm of a sweep is stopped: the median stopping rule (Golovin et al. 2017, Google Vizier).

/** One evaluation of an arm. */
export interface Evaluated {
  step: number;
  evalLoss: number;
}

/** Arms that must have come as far, and evaluations of an arm, before it is judged. */
const least = { arms: 2, evaluations: 2 };

/**
 * Why an arm is stopped after its newest evaluation; null where it goes on. It is where its lowest loss so far is above the median of what
 * the arms before it had on average up to the same step: at most half of them were as bad.
 */
export function stoppedBy(own: readonly Evaluated[], others: readonly (readonly Evaluated[])[]): string | null {
  const step = own.at(-1)?.step;
  if (step === undefined || own.length < least.evaluations) return null;
  const means = others.flatMap((arm) => {
    // An arm that was stopped before says nothing of this step.
    if ((arm.at(-1)?.step ?? 0) < step) return [];
    const until = arm.filter((entry) => entry.step <= step).map(({ evalLoss }) => evalLoss);
    return until.length === 0 ? [] : [until.reduce((sum, loss) => sum + loss, 0) / until.length];
  });
  if (means.length < least.arms) return null;
  const best = Math.min(...own.map(({ evalLoss }) => evalLoss));
  const middle = median(means);
  return best > middle
    ? `its lowest eval loss ${best.toPrecision(4)} is above ${middle.toPrecision(4)}, the median of ${means.length} arms up to step ${step}`
    : null;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}
