// What looks wrong in training on rewards and is not: said once, when it happens.
import { significant } from "@tunesmith/core";

/** Names of the notes, as a checkpoint remembers them. */
export const noteNames = ["zeroLoss", "deviation"] as const;

/** One of them. */
export type NoteName = (typeof noteNames)[number];

/** What is looked at after a step. */
export interface Noted {
  step: number;
  loss: number;
  /** Whether every micro-batch is trained on by the model that sampled it, and any has a gradient. */
  isFirstIteration: boolean;
  hasGradient: boolean;
  /** Of the generation that was sampled in the step; null where none was. */
  spread: { zeroDeviation: number; deviation: number } | null;
}

/** A loss that is as small can only be rounding. */
const rounding = 1e-6;

/** What is to be said after a step, of what was not said before. */
export function notesOf(seen: Noted, told: ReadonlySet<NoteName>): [name: NoteName, message: string][] {
  const { step, loss, isFirstIteration, hasGradient, spread } = seen;
  const found: [NoteName, string][] = [];
  if (!told.has("zeroLoss") && isFirstIteration && hasGradient && Math.abs(loss) < rounding)
    found.push([
      "zeroLoss",
      `the loss is 0 at step ${step}, and that is right: the model is still the one that sampled, so every ratio is 1 and the advantages of a group add up to 0; their gradient does not`,
    ]);
  if (!told.has("deviation") && spread !== null && spread.zeroDeviation > 0 && spread.deviation > 0)
    found.push([
      "deviation",
      `reward_std ${significant(spread.deviation)} is over the whole generation, not within groups: ${significant(100 * spread.zeroDeviation)} % of the completions are in groups without variance (frac_reward_zero_std), which teach nothing`,
    ]);
  return found;
}
