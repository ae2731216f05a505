import { expect, test } from "vitest";
import { bestMetric } from "./settle.ts";

const declared = { evalLoss: "lower", evalReward: "higher", evalEntropy: null } as const;

const unchosen = { loadBestModelAtEnd: false, earlyStoppingPatience: null };
const named = (metricForBestModel: string, greaterIsBetter: boolean | null = null) =>
  bestMetric({ metricForBestModel, greaterIsBetter, ...unchosen }, declared);

test("the metric that decides is one the trainer reports, with the direction it declares", () => {
  expect(named("eval_loss")).toEqual({ name: "evalLoss", greaterIsBetter: false, set: null });
  expect(named("eval_reward")).toEqual({ name: "evalReward", greaterIsBetter: true, set: null });
});

test("one that is not reported, or that decides nothing, is refused with those that do", () => {
  for (const name of ["eval_rewrad", "eval_entropy"])
    expect(() => named(name)).toThrow(`[metricForBestModel] expected one of eval_loss, eval_reward, got "${name}"`);
});
