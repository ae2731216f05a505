import { OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { bestMetric } from "./settle.ts";

const declared = { evalLoss: "lower", evalReward: "higher", evalEntropy: null } as const;

test("the metric that decides is one the trainer reports, with the direction it declares", () => {
  expect(bestMetric("eval_loss", declared)).toEqual({ name: "evalLoss", greaterIsBetter: false });
  expect(bestMetric("eval_reward", declared)).toEqual({ name: "evalReward", greaterIsBetter: true });
});

test("one that is not reported, or that decides nothing, is refused with those that do", () => {
  for (const name of ["eval_rewrad", "eval_entropy"])
    expect(() => bestMetric(name, declared)).toThrow(
      `[metricForBestModel] expected one of eval_loss, eval_reward, got "${name}"`,
    );
  expect(() => bestMetric("loss", declared)).toThrow(OptionError);
});
