import { dpoLossTypes } from "@tunesmith/core";
import { expect, test } from "vitest";
import type { AnswerValues, PairValues } from "./answers.ts";
import { pairsLoss } from "./loss.ts";
import type { DPOLossSettings } from "./settings.ts";

const settings: DPOLossSettings = {
  lossType: ["sigmoid"],
  lossWeights: null,
  beta: 0.3,
  fDivergenceType: "reverse_kl",
  fAlphaDivergenceCoef: 0.5,
  labelSmoothing: 0.1,
  ldAlpha: null,
  useWeighting: false,
  discopopTau: 0.4,
};

/** An answer whose values are numbers of a fixed sequence. */
function answer(length: number, seed: number): AnswerValues {
  const column = (phase: number, scale: number) =>
    Float32Array.from({ length }, (_, t) => -scale * (1.1 + Math.sin(12.9898 * (seed + phase) + 7.233 * t)));
  return { logProbs: column(1, 1), referenceLogProbs: column(1.05, 1.1), logSumSquares: column(3, 0.4) };
}

const pairs: readonly PairValues[] = [
  { chosen: answer(4, 1), rejected: answer(6, 2) },
  { chosen: answer(7, 3), rejected: answer(3, 4) },
  { chosen: answer(2, 5), rejected: answer(2, 6) },
];

/** The pairs with one log-probability moved. */
function moved(pair: number, side: "chosen" | "rejected", token: number, by: number): PairValues[] {
  return pairs.map((values, n) => {
    if (n !== pair) return values;
    const logProbs = Float64Array.from(values[side].logProbs);
    logProbs[token] = (logProbs[token] as number) + by;
    return { ...values, [side]: { ...values[side], logProbs: logProbs as unknown as Float32Array } };
  });
}

/** Largest difference of a derivative from the slope of the loss, over the largest derivative. */
function slopeError(given: DPOLossSettings): number {
  const { derivatives } = pairsLoss(pairs, given);
  const step = 1e-5;
  let [worst, largest] = [0, 0];
  for (const [pair, sides] of derivatives.entries())
    for (const side of ["chosen", "rejected"] as const)
      for (const [token, derivative] of sides[side].entries()) {
        const [up, down] = [step, -step].map((by) => pairsLoss(moved(pair, side, token, by), given).loss);
        const slope = ((up as number) - (down as number)) / (2 * step);
        worst = Math.max(worst, Math.abs(slope - derivative));
        largest = Math.max(largest, Math.abs(derivative));
      }
  return worst / largest;
}

test.each(dpoLossTypes)("the derivatives of %s are the slopes of its loss", (name) => {
  const lossType = [name];
  expect(slopeError({ ...settings, lossType })).toBeLessThan(1e-6);
  expect(slopeError({ ...settings, lossType, ldAlpha: 0.4 })).toBeLessThan(1e-6);
});

test.each(["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] as const)(
  "so they are with the divergence %s",
  (fDivergenceType) => {
    for (const name of ["sigmoid", "ipo", "exo_pair", "robust", "discopop", "sigmoid_norm", "hinge"] as const)
      expect(slopeError({ ...settings, lossType: [name], fDivergenceType }), name).toBeLessThan(1e-6);
  },
);

test("several losses are summed by their weights", () => {
  const lossType = ["sigmoid", "bco_pair", "sft"] as const;
  const alone = lossType.map((name) => pairsLoss(pairs, { ...settings, lossType: [name] }).loss);
  const { loss } = pairsLoss(pairs, { ...settings, lossType, lossWeights: [0.8, 0.2, 1] });
  expect(loss).toBeCloseTo(0.8 * (alone[0] as number) + 0.2 * (alone[1] as number) + (alone[2] as number), 12);
  expect(slopeError({ ...settings, lossType, lossWeights: [0.8, 0.2, 1] })).toBeLessThan(1e-6);
});

test("weights of pairs are constants: they scale loss and derivatives alike", () => {
  const [first] = pairs;
  const one = first === undefined ? [] : [first];
  const [plain, weighted] = [false, true].map((useWeighting) => pairsLoss(one, { ...settings, useWeighting }));
  const factor = (weighted?.loss ?? 0) / (plain?.loss ?? 1);
  expect(factor).not.toBeCloseTo(1, 2);
  for (const side of ["chosen", "rejected"] as const)
    for (const [t, value] of (plain?.derivatives[0]?.[side] ?? []).entries())
      expect(weighted?.derivatives[0]?.[side][t]).toBeCloseTo(factor * value, 10);
});

test("while the policy is the reference the sigmoid loss is ln 2, and what overflows stays finite", () => {
  const same = pairs.map(({ chosen, rejected }) => {
    const of = (values: AnswerValues) => ({ ...values, referenceLogProbs: values.logProbs });
    return { chosen: of(chosen), rejected: of(rejected) };
  });
  expect(pairsLoss(same, settings).loss).toBe(Math.LN2);
  const far = { ...settings, beta: 1e4, lossType: ["sigmoid", "nca_pair", "bco_pair"] as const };
  expect(Number.isFinite(pairsLoss(pairs, far).loss)).toBe(true);
});

test("an answer without tokens divides by nothing", () => {
  const empty = answer(0, 1);
  for (const name of dpoLossTypes) {
    const { loss } = pairsLoss([{ chosen: empty, rejected: empty }], {
      ...settings,
      lossType: [name],
      useWeighting: true,
    });
    expect(Number.isFinite(loss), name).toBe(true);
  }
});
