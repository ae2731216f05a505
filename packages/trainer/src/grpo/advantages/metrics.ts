// What is logged of the rewards of a generation.
import type { Advantages } from "./advantages.ts";
import { deviation, mean } from "./statistics.ts";

/**
 * Means and deviations over all completions of a generation, not within groups, by TRL's names; a function's are those of its values
 * before its weight. What has no value is left out.
 *
 * @param given by row: one value per function
 */
export function rewardMetrics(
  given: readonly (readonly (number | null)[])[],
  names: readonly string[],
  { rewards, zeroDeviation }: Pick<Advantages, "rewards" | "zeroDeviation">,
): Record<string, number> {
  const entries: [name: string, value: number][] = [
    ["reward", mean(rewards)],
    ["reward_std", deviation(rewards)],
    ["frac_reward_zero_std", zeroDeviation],
  ];
  for (const [f, name] of names.entries()) {
    const column = given.map((row) => row[f] ?? Number.NaN);
    entries.push([`rewards/${name}/mean`, mean(column)], [`rewards/${name}/std`, deviation(column)]);
  }
  return Object.fromEntries(entries.filter(([, value]) => !Number.isNaN(value)));
}
