// What the losses of group relative policy optimization are set with.

/** Losses by TRL's names. */
export const grpoLossTypes = ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"] as const;

/** One of TRL's losses. */
export type GRPOLossType = (typeof grpoLossTypes)[number];

/** What decides how far a token's probability may move in one generation. */
export interface PolicySettings {
  lossType: GRPOLossType;
  /** A ratio below 1 − epsilon is clipped. */
  epsilon: number;
  /** A ratio above 1 + epsilonHigh is clipped; of cispo the bound of the ratio itself. */
  epsilonHigh: number;
  /** Bound of the ratio whatever the advantage (INTELLECT-2, arXiv:2505.07291); null: none. */
  delta: number | null;
  sapoTemperaturePos: number;
  sapoTemperatureNeg: number;
  vespoKPos: number;
  vespoLambdaPos: number;
  vespoKNeg: number;
  vespoLambdaNeg: number;
}

/** Options that decide what is minimised. */
export interface GRPOLossSettings extends PolicySettings {
  importanceSamplingLevel: "token" | "sequence";
  /** Factor of the divergence from the reference; 0: no reference is asked. */
  beta: number;
  /** Whether the divergence of a token is times its ratio. */
  useBiasCorrectionKl: boolean;
  /** Share of the tokens, those of the highest entropy, that have a policy term. */
  topEntropyQuantile: number;
  /** A completion of negative advantage whose mean of old − new is above it has no policy term; null: all have. */
  offPolicyMaskThreshold: number | null;
  /** Tokens that every completion is divided by (dr_grpo). */
  maxCompletionLength: number;
}

/** What a loss needs to know of more than its own micro-batch. */
export interface LossScope {
  /** Trained tokens of the whole generation. */
  generationTokens: number;
  /** Micro-batches that a generation is cut into. */
  stepsPerGeneration: number;
  /** Micro-batches of the step. */
  microBatches: number;
  /** Factor of the mean entropy, which is taken from the loss. */
  entropyCoef: number;
}
