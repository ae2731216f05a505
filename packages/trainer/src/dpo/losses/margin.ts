// Losses of the margin between the two answers of a pair: one number says how much better the chosen one is.
import { logSigmoid, noLosses, type PairLosses, type PairScore, sigmoid } from "./answers.ts";
import { divergence } from "./divergence.ts";
import type { DPOLossSettings } from "./settings.ts";

/** Loss and derivative by the margin z. */
type MarginLoss = (z: number, settings: DPOLossSettings) => { loss: number; slope: number };

/** IPO (arXiv:2310.12036): the margin per token is drawn to 1 / (2β). */
const ipo: MarginLoss = (margin, { beta }) => {
  const gap = margin - 1 / (2 * beta);
  return { loss: gap ** 2, slope: 2 * gap };
};

/** EXO (arXiv:2402.00856): the divergence of (σ(z), σ(−z)) from (1 − ε, ε). */
const exoPair: MarginLoss = (z, { labelSmoothing: epsilon }) => {
  const [right, wrong] = [sigmoid(z), sigmoid(-z)];
  const [a, b] = [logSigmoid(z) - Math.log(1 - epsilon), logSigmoid(-z) - Math.log(epsilon)];
  return { loss: right * a + wrong * b, slope: right * wrong * (a - b) };
};

/** Robust DPO (arXiv:2403.00409): unbiased where a share ε of the pairs is the wrong way round. */
const robust: MarginLoss = (z, { labelSmoothing: epsilon }) => {
  const scale = 1 / (1 - 2 * epsilon);
  return {
    loss: scale * (epsilon * logSigmoid(-z) - (1 - epsilon) * logSigmoid(z)),
    slope: -scale * ((1 - epsilon) * sigmoid(-z) + epsilon * sigmoid(z)),
  };
};

/** DiscoPOP (arXiv:2406.08414): between the logistic and the exponential loss, by how sure the margin is. */
const discopop: MarginLoss = (z, { discopopTau: tau }) => {
  const share = sigmoid(z / tau);
  const change = (share * (1 - share)) / tau;
  const exponential = Math.exp(-z);
  return {
    loss: share * exponential - (1 - share) * logSigmoid(z),
    slope: change * (logSigmoid(z) + exponential) - (1 - share) * sigmoid(-z) - share * exponential,
  };
};

/** DPO (arXiv:2305.18290). */
const logistic: MarginLoss = (z) => ({ loss: -logSigmoid(z), slope: -sigmoid(-z) });

/** SLiC's hinge (arXiv:2305.10425). */
const hinge: MarginLoss = (z) => ({ loss: Math.max(0, 1 - z), slope: z < 1 ? -1 : 0 });

/** By name: the loss, whether each answer is divided by its length, and whether the margin is times β. */
const marginLosses = {
  sigmoid: { of: logistic, perToken: false, scaled: true },
  hinge: { of: hinge, perToken: false, scaled: true },
  ipo: { of: ipo, perToken: true, scaled: false },
  exo_pair: { of: exoPair, perToken: false, scaled: true },
  robust: { of: robust, perToken: false, scaled: true },
  discopop: { of: discopop, perToken: false, scaled: true },
  sigmoid_norm: { of: logistic, perToken: true, scaled: true },
} as const;

/** Names of these losses: those that take an f-divergence. */
export type MarginLossType = keyof typeof marginLosses;

export function isMarginLoss(name: string): name is MarginLossType {
  return Object.hasOwn(marginLosses, name);
}

/** The losses of pairs, and the derivative of their sum. */
export function marginLoss(name: MarginLossType, pairs: readonly PairScore[], settings: DPOLossSettings): PairLosses {
  const { of, perToken, scaled } = marginLosses[name];
  const result = noLosses(pairs.length);
  const beta = scaled ? settings.beta : 1;
  for (const [n, { chosen, rejected }] of pairs.entries()) {
    const [better, worse] = [divergence(settings, chosen.ratio), divergence(settings, rejected.ratio)];
    const [ofBetter, ofWorse] = perToken ? [beta / chosen.length, beta / rejected.length] : [beta, beta];
    const { loss, slope } = of(ofBetter * better.value - ofWorse * worse.value, settings);
    result.losses[n] = loss;
    result.chosen[n] = slope * ofBetter * better.slope;
    result.rejected[n] = -slope * ofWorse * worse.slope;
  }
  return result;
}
