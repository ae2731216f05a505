import { expect, test } from "vitest";
import type { CompletionValues } from "./completion.ts";
import { completionsLoss } from "./loss.ts";
import { lossMetrics } from "./metrics.ts";
import { type GRPOLossSettings, grpoLossTypes, type LossScope } from "./settings.ts";

const settings: GRPOLossSettings = {
  ...{ lossType: "dapo", importanceSamplingLevel: "token", epsilon: 0.2, epsilonHigh: 0.28, delta: null },
  ...{ sapoTemperaturePos: 1, sapoTemperatureNeg: 1.05, maxCompletionLength: 9 },
  ...{ vespoKPos: 2, vespoLambdaPos: 3, vespoKNeg: 3, vespoLambdaNeg: 2 },
  ...{ beta: 0.3, useBiasCorrectionKl: true, topEntropyQuantile: 1, offPolicyMaskThreshold: null },
};
const scope: LossScope = { generationTokens: 31, stepsPerGeneration: 2, microBatches: 2, entropyCoef: 0.07 };

/** A completion whose values are numbers of a fixed sequence. */
function completion(length: number, seed: number, advantage: number): CompletionValues {
  const column = (phase: number, scale: number) =>
    Float64Array.from({ length }, (_, t) => -scale * (1.1 + Math.sin(12.9898 * (seed + phase) + 7.233 * t)));
  const [logProbs, moved] = [column(1, 1), column(2, 0.3)];
  return {
    logProbs,
    oldLogProbs: logProbs.map((value, t) => value + 0.2 + (moved[t] as number)),
    referenceLogProbs: column(1.05, 1.1),
    entropies: column(3, -2),
    advantage,
  };
}

const completions = [completion(7, 1, 0.9), completion(4, 2, -1.3), completion(0, 3, 0.5), completion(5, 4, -0.2)];

/** The completions with one value moved. */
function moved(row: number, column: "logProbs" | "entropies", token: number, by: number): CompletionValues[] {
  return completions.map((values, n) =>
    n === row
      ? { ...values, [column]: Array.from(values[column], (value, t) => (t === token ? value + by : value)) }
      : values,
  );
}

/** Largest difference of a derivative from the slope of the loss, over the largest derivative. */
function slopeError(given: GRPOLossSettings): number {
  const step = 1e-6;
  let [worst, largest] = [0, 0];
  for (const [row, found] of completionsLoss(completions, given, scope).derivatives.entries())
    for (const column of ["logProbs", "entropies"] as const)
      for (const [token, derivative] of (found[column] ?? []).entries()) {
        const [up, down] = [step, -step].map((by) => completionsLoss(moved(row, column, token, by), given, scope).loss);
        worst = Math.max(worst, Math.abs(((up as number) - (down as number)) / (2 * step) - derivative));
        largest = Math.max(largest, Math.abs(derivative));
      }
  return worst / largest;
}

const levels = ["token", "sequence"] as const;

test.each(["grpo", "bnpo", "dr_grpo", "dapo", "luspo", "sapo"] as const)(
  "the derivatives of %s are the slopes of its loss",
  (lossType) => {
    for (const importanceSamplingLevel of levels)
      for (const useBiasCorrectionKl of [true, false]) {
        const given = { ...settings, lossType, importanceSamplingLevel, useBiasCorrectionKl };
        expect(slopeError(given)).toBeLessThan(1e-6);
        expect(slopeError({ ...given, delta: 1.1, topEntropyQuantile: 0.6 })).toBeLessThan(1e-6);
      }
  },
);

test.each(["cispo", "vespo"] as const)("the weights of %s are constants: a loss of −weight · log p", (lossType) => {
  for (const importanceSamplingLevel of levels) {
    const given = { ...settings, lossType, importanceSamplingLevel, beta: 0 };
    const { policyLoss, derivatives } = completionsLoss(completions, given, scope);
    const linear = derivatives.map(({ logProbs }, row) =>
      logProbs.reduce((sum, slope, t) => sum + slope * (completions[row]?.logProbs[t] as number), 0),
    );
    expect(policyLoss * scope.microBatches).toBeCloseTo(
      linear.reduce((a, b) => a + b, 0),
      12,
    );
  }
});

test("on the policy that wrote the completions every ratio is 1 and still has a gradient", () => {
  const own = completions.map((values) => ({ ...values, oldLogProbs: null }));
  const { loss, derivatives, scores } = completionsLoss(own, { ...settings, beta: 0 }, { ...scope, entropyCoef: 0 });
  expect(scores[0]?.importance.ratios).toEqual(new Float64Array(7).fill(1));
  expect(derivatives[0]?.logProbs[0]).toBeCloseTo((-0.9 * 2) / 31, 12);
  expect(loss).toBeCloseTo(((-0.9 * 7 + 1.3 * 4 + 0.2 * 5) * 2) / 31, 12);
});

test("a completion without tokens counts in means over completions, and divides by nothing", () => {
  const empty = completion(0, 1, 1);
  for (const lossType of grpoLossTypes)
    for (const importanceSamplingLevel of levels) {
      const given = { ...settings, lossType, importanceSamplingLevel };
      const { loss, scores } = completionsLoss([empty], given, { ...scope, generationTokens: 0 });
      expect(loss, lossType).toBe(0);
      expect(lossMetrics([empty], scores, given).entropy).toEqual({ sum: 0, weight: 0 });
    }
  const [one] = completions;
  const alone = completionsLoss([one as CompletionValues], { ...settings, lossType: "grpo" }, scope);
  const both = completionsLoss([one as CompletionValues, empty], { ...settings, lossType: "grpo" }, scope);
  expect(both.policyLoss).toBeCloseTo(alone.policyLoss / 2, 12);
});

test("a completion of negative advantage that the model has left behind has no policy term, but its divergence", () => {
  const far = { ...completion(4, 2, -1), oldLogProbs: new Float64Array(4).fill(0) };
  const given = { ...settings, offPolicyMaskThreshold: 0.1, useBiasCorrectionKl: false };
  const flat = { ...far, advantage: 0 };
  expect(completionsLoss([far], given, scope).derivatives).toEqual(completionsLoss([flat], given, scope).derivatives);
  const free = completionsLoss([far], { ...given, offPolicyMaskThreshold: null }, scope).policyLoss;
  expect(free).not.toBeCloseTo(completionsLoss([far], given, scope).policyLoss, 3);
});
