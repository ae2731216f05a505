import { expect, test } from "vitest";
import { bestMetric } from "./settle.ts";

const declared = { evalLoss: "lower", evalReward: "higher", evalEntropy: null } as const;

const unchosen = { loadBestModelAtEnd: false, earlyStoppingPatience: null, lrSchedulerType: "linear" } as const;
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

test("of several sets the first is watched, and where something is chosen by one it is named", () => {
  const of = (metricForBestModel: string, more: object) =>
    bestMetric({ metricForBestModel, greaterIsBetter: null, ...unchosen, ...more }, declared, ["a", "b"]);
  expect(of("eval_loss", {})).toMatchObject({ name: "evalLoss", set: "a" });
  const choosing = [
    { loadBestModelAtEnd: true },
    { earlyStoppingPatience: 1 },
    { lrSchedulerType: "reduce_lr_on_plateau" },
    { lrSchedulerType: "greedy" },
  ];
  for (const more of choosing) {
    expect(() => of("eval_loss", more)).toThrow(/expected one of eval_a_loss, eval_b_loss, .*, got "eval_loss"/u);
    expect(of("eval_b_loss", more)).toMatchObject({ name: "evalLoss", set: "b" });
  }
});
