// A learning rate that throws weights about rather than trains them.

import type { EngineOptimizer } from "@tunesmith/core";
import { significant } from "@tunesmith/core";
import type { HealthRule } from "./rule.ts";

/** Rates from here on move weights further than their size: AdamW moves every weight by about the rate in a step. */
const anyWeights: Readonly<Record<EngineOptimizer, number>> = {
  adamw: 1,
  adamw8bit: 1,
  schedulefree: 1,
  ademamix: 1,
  adafactor: 1,
  muon: 1,
  lorafa: 1,
  rmsprop: 1,
  lion: 0.1,
  lion8bit: 0.1,
  sgd: 10,
  adagrad: 10,
};

/** Optimizers whose step is not about as large as the rate: what is too much for an adapter is not known better than for any weights. */
const byGradient: readonly EngineOptimizer[] = ["sgd", "adagrad", "muon"];

/** The rate from which on an optimizer does not train: of an adapter, whose factors are small, a hundredth. */
export function rateLimit(optimizer: EngineOptimizer, isAdapter: boolean): number {
  return anyWeights[optimizer] * (isAdapter && !byGradient.includes(optimizer) ? 0.01 : 1);
}

/** A peak, or a rate that a step has had, at which weights are not trained. */
export const learningRate: HealthRule = {
  name: "learning-rate",
  check({ run, steps }) {
    const rate = Math.max(run.learningRate, steps.at(-1)?.learningRate ?? 0);
    const limit = rateLimit(run.optimizer, run.isAdapter);
    // Of decimal factors the last bit is not what was meant.
    if (rate < limit * (1 - 1e-9)) return null;
    const usual = run.isAdapter
      ? "adapters usually take 5e-6 to 2e-4, at most 1e-3"
      : "full fine-tuning usually takes 1e-6 to 1e-4";
    return {
      value: rate,
      message: `learningRate ${rate} is too high for ${run.optim}${run.isAdapter ? " on an adapter" : ""}: ${significant(limit)} and more throws weights about`,
      remedy: `lower it; ${usual}`,
    };
  },
};
