// The loss of a run is where it began.
import { significant } from "@tunesmith/core";
import { type HealthRule, mean } from "./rule.ts";

/** Steps that are taken together, at least and at most: the mean of fewer says more of their rows than of the model. */
const [leastPart, largestPart] = [10, 50];
/** A loss that has fallen by less than this share of what it was has not fallen. */
const leastFall = 0.01;
/** A fall by this share must be three standard errors away: where losses differ as much from step to step, it may be there and not be seen. */
const seenFall = 0.06;

/** The mean loss of the newest steps against that of the first ones, each time as many more have been taken. */
export const lossNotFalling: HealthRule = {
  name: "loss-not-falling",
  check({ event, step, run, steps, firstLosses }) {
    // A quarter of a short run; of steps in the warm-up nothing can be asked.
    const part = Math.max(leastPart, Math.min(largestPart, Math.floor(run.totalSteps / 4)));
    if (event !== "step" || firstLosses.length < part) return null;
    if (step % (2 * part) !== 0 || step < run.warmupSteps + part) return null;
    const newest = steps.slice(-part).flatMap(({ loss }) => (Number.isFinite(loss) ? [loss] : []));
    const first = firstLosses.slice(0, part);
    const [before, now] = [mean(first), mean(newest)];
    // A loss of nothing, as of rows that the model knows by heart, has nowhere to fall.
    if (newest.length < part || !(now > (1 - leastFall) * before) || before < 0.05) return null;
    const error = Math.sqrt((variance(first) + variance(newest)) / part);
    if (before - now + 3 * error > seenFall * before) return null;
    return {
      value: now,
      message: `the loss is not falling: ${significant(now)} over the last ${part} steps, ${significant(before)} over the first ${part}`,
      remedy:
        "raise learningRate, look at what is trained on with tunesmith inspect data, or train more of the model (r, targetModules)",
    };
  },
};

/** Of a sample. */
function variance(values: readonly number[]): number {
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1);
}
