// How much better each completion is than the others of its prompt.
import { deviation, groupsOf, isZero, mean } from "./statistics.ts";

/** What rewards are made into advantages with. */
export interface AdvantageSettings {
  numGenerations: number;
  scaleRewards: "group" | "batch" | "none";
  multiObjectiveAggregation: "sum_then_normalize" | "normalize_then_sum";
  /** One per reward function; null: 1 each. */
  rewardWeights: readonly number[] | null;
}

/** What the rewards of a generation come to. */
export interface Advantages {
  /** Of each completion. */
  advantages: Float64Array;
  /** Weighted sum of each completion's rewards; NaN where every function gave null. */
  rewards: Float64Array;
  /** Share of the completions in whose group, or for `batch` in all of them, there is no variance: they teach nothing. */
  zeroDeviation: number;
}

/** Keeps a deviation of 0 from being divided by (TRL). */
const epsilon = 1e-4;

/**
 * Advantages of the completions of a generation, the completions of a prompt next to each other. Where every function gave null there is no
 * reward: the advantage is 0, and the others' mean and deviation know nothing of it.
 *
 * @param given by row: one value per function
 */
export function advantagesOf(given: readonly (readonly (number | null)[])[], settings: AdvantageSettings): Advantages {
  const { rewardWeights, scaleRewards, multiObjectiveAggregation, numGenerations } = settings;
  const weights = rewardWeights ?? given[0]?.map(() => 1) ?? [];
  // Rewards are float32 in TRL.
  const values = given.map((row) => row.map((value) => (value === null ? Number.NaN : Math.fround(value))));
  const rewards = Float64Array.from(values, (row) => weightedSum(row, weights));
  const groups = groupsOf(rewards, numGenerations);
  const spread = deviation(rewards);
  if (multiObjectiveAggregation === "normalize_then_sum") {
    const parts = weights.map((_, f) => {
      const column = Float64Array.from(values, (row) => row[f] as number);
      return groupsOf(column, numGenerations).flatMap((group) => standardised(group, deviation(group)));
    });
    const sums = Float64Array.from(values, (_, n) =>
      weightedSum(
        parts.map((part) => part[n] as number),
        weights,
      ),
    );
    const advantages = Float64Array.from(standardised(sums, deviation(sums)), orZero);
    return { advantages, rewards, zeroDeviation: isZero(spread) ? 1 : 0 };
  }
  const scale = (group: Float64Array): number =>
    scaleRewards === "none" ? 1 - epsilon : scaleRewards === "batch" ? spread : deviation(group);
  const advantages = Float64Array.from(
    groups.flatMap((group) => standardised(group, scale(group))),
    orZero,
  );
  const flat = scaleRewards === "batch" ? groups.map(() => isZero(spread)) : groups.map((g) => isZero(deviation(g)));
  return { advantages, rewards, zeroDeviation: mean(flat.map(Number)) };
}

/** Σ weight · value over those that there are; NaN where there is none. */
function weightedSum(values: readonly number[], weights: readonly number[]): number {
  let sum = Number.NaN;
  for (const [n, value] of values.entries())
    if (!Number.isNaN(value)) sum = (Number.isNaN(sum) ? 0 : sum) + value * (weights[n] as number);
  return sum;
}

/** Distances from the mean in units of the deviation; a value that has none, since it is alone, is 0. */
function standardised(values: Float64Array, spread: number): number[] {
  const center = mean(values);
  return Array.from(values, (value) => (value - center) / ((Number.isNaN(spread) ? 0 : spread) + epsilon));
}

function orZero(value: number): number {
  return Number.isNaN(value) ? 0 : value;
}
