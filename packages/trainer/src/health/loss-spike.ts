// One step has a loss far above those before it.
import { significant } from "@tunesmith/core";
import { type HealthRule, mean } from "./rule.ts";

/** Steps that must lie before. */
const least = 20;
/** Standard deviations above the mean of the steps before (OLMo 2's spike score), and how far besides: a loss near 0 spikes at nothing. */
const [deviations, factor, nats] = [7, 2, 0.5];
/** Rows that are named. */
const named = 5;

/** A loss that is seven standard deviations above the mean of up to 100 steps before, twice that mean and half a nat more. */
export const lossSpike: HealthRule = {
  name: "loss-spike",
  check({ event, steps, rows }) {
    const last = steps.at(-1);
    if (event !== "step" || last === undefined || !Number.isFinite(last.loss)) return null;
    const before = steps.slice(0, -1).flatMap(({ loss }) => (Number.isFinite(loss) ? [loss] : []));
    if (before.length < least) return null;
    const usual = mean(before);
    const deviation = Math.sqrt(mean(before.map((loss) => (loss - usual) ** 2)));
    if (last.loss < Math.max(usual + deviations * deviation, factor * usual, usual + nats)) return null;
    const worst = [...rows].sort((a, b) => b.loss - a.loss).slice(0, named);
    return {
      value: last.loss,
      message: `loss spike: ${significant(last.loss)} in step ${last.step}, where the ${before.length} steps before have ${significant(usual)} ± ${significant(deviation)}`,
      remedy: "look at these rows, the highest loss first; where nothing is wrong with them, lower learningRate",
      rows: worst.map(({ row }) => row),
    };
  },
};
