// What goes wrong in preference optimization while its loss falls.
import { significant } from "@tunesmith/core";
import { type HealthRule, type HealthStep, mean } from "./rule.ts";

/** Steps of a run below which nothing is said, and the most that are taken together. */
const [leastSteps, largestPart] = [20, 50];
/** A margin has risen that is this many times what it was, and by this much; ours. */
const [marginGrowth, marginRise] = [1.5, 0.1];
/** An accuracy that has risen by no more has not risen; from this share on there is little room to rise. Ours. */
const [accuracyRise, accuracyRoom] = [0.01, 0.9];
/** A log-probability has collapsed that is lower than the reference's by this share of it, and by this many nats; ours. */
const [collapseShare, collapseNats] = [0.5, 5];

/** The metric of some steps, in the mean; NaN where a step has none. */
const meanOf = (steps: readonly HealthStep[], name: string) =>
  mean(steps.map(({ metrics }) => metrics[name] ?? Number.NaN));

const percent = (share: number) => `${significant(100 * share)} %`;

/** Steps that are taken together: a quarter of a short run. */
const partOf = (totalSteps: number) => Math.min(largestPart, Math.floor(totalSteps / 4));

/** Margins that rise while no more pairs become right: some pairs grow, and the others stay as they are. */
const marginsWithoutAccuracy: HealthRule = {
  name: "margins-without-accuracy",
  check({ event, step, run, steps }) {
    const part = partOf(run.totalSteps);
    if (event !== "step" || run.totalSteps < leastSteps || step % part !== 0) return null;
    if (steps.length < 2 * part || step < run.warmupSteps + 2 * part) return null;
    // Before the first update both answers are as likely as by the reference: a tie, which counts as wrong, says nothing.
    const compared = (some: readonly HealthStep[]) => some.filter(({ metrics }) => metrics["rewards/margins"] !== 0);
    const [older, newer] = [compared(steps.slice(-2 * part, -part)), compared(steps.slice(-part))];
    const [before, now] = [older, newer].map((some) => ({
      margin: meanOf(some, "rewards/margins"),
      accuracy: meanOf(some, "rewards/accuracies"),
    })) as [{ margin: number; accuracy: number }, { margin: number; accuracy: number }];
    const isRising = now.margin >= marginGrowth * before.margin && now.margin >= before.margin + marginRise;
    const isRight = !(now.accuracy <= before.accuracy + accuracyRise) || now.accuracy >= accuracyRoom;
    if (!isRising || isRight) return null;
    return {
      value: now.accuracy,
      message: `margins rise, ${significant(before.margin)} to ${significant(now.margin)} over the last ${2 * part} steps, while no more pairs are right, ${percent(before.accuracy)} to ${percent(now.accuracy)}: some pairs grow and the others stay`,
      remedy:
        'lower learningRate or raise beta, look for pairs that are the wrong way round, or bound the margin (lossType "ipo")',
    };
  },
};

/**
 * Chosen answers that become much less likely than by the reference: only the distance to the rejected ones is asked for, and it grows as
 * well when both fall (arXiv:2402.13228, arXiv:2410.08847).
 */
function chosenCollapse(beta: number): HealthRule {
  return {
    name: "chosen-collapse",
    check({ event, run, steps }) {
      const part = partOf(run.totalSteps);
      if (event !== "step" || run.totalSteps < leastSteps || steps.length < part) return null;
      const newest = steps.slice(-part);
      const now = meanOf(newest, "logps/chosen");
      const reference = now - meanOf(newest, "rewards/chosen") / beta;
      const fall = reference - now;
      if (!(fall > collapseNats && fall > collapseShare * Math.abs(reference))) return null;
      return {
        value: now,
        message: `the log-probability of chosen answers collapses: ${significant(now)} nats over the last ${part} steps, ${significant(reference)} by the reference`,
        remedy: 'lower learningRate, raise beta, or hold the answers up with lossType ["sigmoid", "sft"] or "apo_zero"',
      };
    },
  };
}

/** The rules of preference optimization, besides those of every run. */
export function preferenceRules({ beta }: { beta: number }): readonly HealthRule[] {
  return [marginsWithoutAccuracy, chosenCollapse(beta)];
}
