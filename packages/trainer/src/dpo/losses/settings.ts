// What the losses of preference optimization are set with.
import type { dpoLossTypes, ParsedDPOConfig } from "@tunesmith/core";

/** One of TRL's losses. */
export type DPOLossType = (typeof dpoLossTypes)[number];

/** What stands in the place of the reverse Kullback-Leibler divergence. */
export interface DPOConfigDivergence {
  fDivergenceType: ParsedDPOConfig["fDivergenceType"];
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
