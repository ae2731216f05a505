// How long a run was said to take early on: its report compares that with what it took.
import * as z from "zod";

/** How long a run will take, as its first steps tell. */
export interface TimeEstimate {
  /** Steps that it was to have. */
  totalSteps: number;
  /** Its first step, which also warms up: seconds of the run at its end. */
  first: { seconds: number };
  /** Seconds of the whole run, and the step after which they were estimated; null until then. */
  told: { step: number; seconds: number } | null;
}

/** A {@link TimeEstimate} as it is read back. */
export const timeEstimateSchema: z.ZodType<TimeEstimate> = z.object({
  totalSteps: z.int().nonnegative(),
  first: z.object({ seconds: z.number() }),
  told: z.object({ step: z.int().nonnegative(), seconds: z.number() }).nullable(),
});

/** The step after which the time is estimated: a tenth of the run, but 2 at least and 20 at most. */
const estimatedAfter = (totalSteps: number) => Math.min(20, Math.max(2, Math.ceil(totalSteps / 10)));

/**
 * Takes a step in, as the status line's remaining time does: a step is taken to last as long as those after the first, with their share
 * of what evaluations, answers and checkpoints have taken between them.
 *
 * @param seconds of the run at the end of the step
 */
export function withStep(
  before: TimeEstimate | null,
  { step, totalSteps }: { step: number; totalSteps: number },
  seconds: number,
): TimeEstimate | null {
  if (step === 1) return { totalSteps, first: { seconds }, told: null };
  if (before === null || step !== estimatedAfter(totalSteps) || step >= totalSteps) return before;
  const perStep = (seconds - before.first.seconds) / (step - 1);
  return { totalSteps, first: before.first, told: { step, seconds: seconds + (totalSteps - step) * perStep } };
}

/** What was estimated of a run that has taken just the steps it was to have; else null. */
export function toldTime(estimate: TimeEstimate | null, steps: number): TimeEstimate["told"] {
  return estimate !== null && estimate.totalSteps === steps ? estimate.told : null;
}
