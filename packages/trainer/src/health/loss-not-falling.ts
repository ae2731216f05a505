// The loss of a run is where it began.
import { significant } from "@tunesmith/core";
import { type HealthRule, mean } from "./rule.ts";

/** Steps of a run below which nothing is said, and the most that are taken together. */
const [leastSteps, largestPart] = [20, 50];
/** A loss that has fallen by less than this share of what it was has not fallen. */
const leastFall = 0.01;

/** The mean loss of the newest steps against that of the first ones, each time as many more have been taken. */
export const lossNotFalling: HealthRule = {
  name: "loss-not-falling",
  check({ event, step, run, steps, firstLosses }) {
    // A quarter of a short run; of steps in the warm-up nothing can be asked.
    const part = Math.min(largestPart, Math.floor(run.totalSteps / 4));
    if (event !== "step" || run.totalSteps < leastSteps || firstLosses.length < part) return null;
    if (step % (2 * part) !== 0 || step < run.warmupSteps + part) return null;
    const newest = steps.slice(-part).flatMap(({ loss }) => (Number.isFinite(loss) ? [loss] : []));
    const [before, now] = [mean(firstLosses.slice(0, part)), mean(newest)];
    // A loss of nothing, as of rows that the model knows by heart, has nowhere to fall.
    if (newest.length < part || !(now > (1 - leastFall) * before) || before < 0.05) return null;
    return {
      value: now,
      message: `the loss is not falling: ${significant(now)} over the last ${part} steps, ${significant(before)} over the first ${part}`,
      remedy:
        "raise learningRate, look at what is trained on with tunesmith inspect data, or train more of the model (r, targetModules)",
    };
  },
};
