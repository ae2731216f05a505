// The evaluation loss rises while the training loss falls.
import { significant } from "@tunesmith/core";
import type { HealthRule } from "./rule.ts";

/** Evaluations in a row that must show it. */
const times = 3;

/** An evaluation loss that has risen three times in a row while the training loss fell. */
export const overfitting: HealthRule = {
  name: "overfitting",
  check({ event, evaluations }) {
    const newest = evaluations.slice(-times - 1);
    const [first, last] = [newest[0], newest.at(-1)];
    if (event !== "eval" || newest.length <= times || first === undefined || last === undefined) return null;
    const isRising = newest.slice(1).every(({ evalLoss, trainLoss }, n) => {
      const before = newest[n] as (typeof newest)[number];
      return evalLoss > before.evalLoss && trainLoss < before.trainLoss;
    });
    if (!isRising) return null;
    return {
      value: last.evalLoss,
      message: `the evaluation loss has risen ${times} times in a row, ${significant(first.evalLoss)} to ${significant(last.evalLoss)}, while the training loss fell, ${significant(first.trainLoss)} to ${significant(last.trainLoss)}`,
      remedy: "train for fewer epochs, or set earlyStoppingPatience and loadBestModelAtEnd",
    };
  },
};
