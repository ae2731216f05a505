// What the losses of preference optimization are set with.

/** Losses by TRL's names. */
export const dpoLossTypes = [
  "sigmoid",
  "hinge",
  "ipo",
  "exo_pair",
  "nca_pair",
  "robust",
  "bco_pair",
  "sppo_hard",
  "aot",
  "aot_unpaired",
  "apo_zero",
  "apo_down",
  "discopop",
  "sft",
  "sigmoid_norm",
] as const;

/** One of them. */
export type DPOLossType = (typeof dpoLossTypes)[number];

/** Divergences by TRL's names. */
export const divergenceTypes = ["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] as const;

/** What stands in the place of the reverse Kullback-Leibler divergence. */
export interface DPOConfigDivergence {
  fDivergenceType: (typeof divergenceTypes)[number];
  fAlphaDivergenceCoef: number;
}

/** Options that decide what is minimised. */
export interface DPOLossSettings extends DPOConfigDivergence {
  lossType: readonly DPOLossType[];
  /** One per loss; null: 1 each. */
  lossWeights: readonly number[] | null;
  beta: number;
  labelSmoothing: number;
  ldAlpha: number | null;
  useWeighting: boolean;
  discopopTau: number;
}
