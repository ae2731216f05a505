// The options of schemas as types; written by `npm run generate`.
import type { GRPOConfigNames } from "./field/types.ts";
import type { TrainingArguments } from "./types.ts";

/** Options of group relative policy optimization (names of TRL's GRPOConfig in camelCase). */
export interface GRPOConfig extends TrainingArguments, GRPOConfigNames {
  /** Peak learning rate. Default 0.000001 (TRL), made for all weights; an adapter usually takes 5e-6 to 5e-5. */
  learningRate?: number | undefined;
  /** Format of the rows: a column prompt, and any others for the reward functions. Default auto. */
  datasetFormat?: "auto" | "prompt-only" | undefined;
  /** Tokens that a prompt may have: rows with a longer one are left out. Default null: any number (TRL). */
  maxPromptLength?: number | null | undefined;
  /** Rows are taken in the order of trainSamplingStrategy, else in that of the data set. Default true (TRL). */
  shuffleDataset?: boolean | undefined;
  /**
   * Columns of the rows by the names that formats have for them, such as { prompt: "question", completion: "answer" }.
   * Default: the same names.
   */
  columns?: Record<string, string> | null | undefined;
  /**
   * Bytes that a row may have as JSON; a larger one is refused with its line and size. Preparing takes up to 256 times
   * the largest row of memory. Default 1048576 (1 MiB).
   */
  maxRowBytes?: number | undefined;
  /**
   * A row that cannot be used ends the run, or is left out and counted in the report. Default error (a run should train
   * on all it was given).
   */
  onBadRow?: "error" | "skip" | undefined;
  /** Completions of a prompt, at least 2. Default 8 (TRL). */
  numGenerations?: number | undefined;
  /** Tokens of a completion at most; one that has no end by then is cut. Default 512 (TRL). */
  maxCompletionLength?: number | undefined;
  /**
   * Completions that are sampled at once, a multiple of perDeviceTrainBatchSize and of numGenerations; in place of
   * stepsPerGeneration. Default null: perDeviceTrainBatchSize · stepsPerGeneration (TRL).
   */
  generationBatchSize?: number | null | undefined;
  /**
   * Micro-batches that a generation is cut into, in place of generationBatchSize. Default null:
   * gradientAccumulationSteps (TRL).
   */
  stepsPerGeneration?: number | null | undefined;
  /** How often each generation is trained on before the next is sampled. Default 1 (TRL). */
  numIterations?: number | undefined;
  /**
   * Temperature of sampling; log-probabilities and entropies of training are of the distribution at it. Default 1
   * (TRL).
   */
  temperature?: number | undefined;
  /** Sample from the likeliest tokens of this total probability. Default 1 (TRL). */
  topP?: number | undefined;
  /** Sample from the k likeliest tokens; 0 is all of them. Default 0 (TRL). */
  topK?: number | undefined;
  /** Drop tokens less likely than this times the likeliest. Default null: none (TRL). */
  minP?: number | null | undefined;
  /** Divides positive and multiplies negative logits of tokens that are there already. Default 1 (TRL). */
  repetitionPenalty?: number | undefined;
  /** Weight of each reward function, in their order. Default null: 1 each (TRL). */
  rewardWeights?: number[] | null | undefined;
  /**
   * What the distance of a reward from its group's mean is divided by: the group's standard deviation (true), that of
   * the whole batch, or nothing (false). Default group (TRL).
   */
  scaleRewards?: "group" | "batch" | "none" | boolean | undefined;
  /**
   * How several rewards become one advantage: their weighted sum is standardised, or each is and the sum over the batch
   * again. Default sum_then_normalize (TRL).
   */
  multiObjectiveAggregation?: "sum_then_normalize" | "normalize_then_sum" | undefined;
  /**
   * What is minimised: grpo (arXiv:2402.03300), bnpo, dr_grpo (arXiv:2503.20783), dapo (arXiv:2503.14476), cispo
   * (arXiv:2506.13585), sapo (arXiv:2511.20347), luspo, vespo. Default dapo (TRL).
   */
  lossType?: "grpo" | "bnpo" | "dr_grpo" | "dapo" | "cispo" | "sapo" | "luspo" | "vespo" | undefined;
  /** Factor of the divergence from the reference; 0 asks no reference. Default 0 (TRL). */
  beta?: number | undefined;
  /** A token's ratio is clipped below 1 − epsilon. Default 0.2 (TRL). */
  epsilon?: number | undefined;
  /**
   * A token's ratio is clipped above 1 + epsilonHigh (DAPO takes 0.28); of cispo the bound of the ratio itself (5 in
   * its paper). Default null: epsilon (TRL).
   */
  epsilonHigh?: number | null | undefined;
  /** Bound of the ratio whatever the advantage, above 1 + epsilonHigh (arXiv:2505.07291). Default null: none (TRL). */
  delta?: number | null | undefined;
  /**
   * Whether each token has a ratio, or the completion one for all of its tokens (GSPO, arXiv:2507.18071). Default token
   * (TRL).
   */
  importanceSamplingLevel?: "token" | "sequence" | undefined;
  /** The divergence of a token is times its ratio. Default true (TRL). */
  useBiasCorrectionKl?: boolean | undefined;
  /** Completions that were cut at maxCompletionLength are not trained on. Default false (TRL). */
  maskTruncatedCompletions?: boolean | undefined;
  /**
   * Share of a micro-batch's tokens, those of the highest entropy, that the policy is trained on (arXiv:2506.01939
   * takes 0.2). Default 1 (TRL).
   */
  topEntropyQuantile?: number | undefined;
  /**
   * A completion of negative advantage whose tokens have on average lost more than this in log-probability since it was
   * sampled is not trained on. Default null: none (TRL).
   */
  offPolicyMaskThreshold?: number | null | undefined;
  /** Factor of the mean entropy, which is added to what is maximised. Default 0 (TRL). */
  entropyCoef?: number | undefined;
  /**
   * entropyCoef follows the entropy (arXiv:2505.22312): it rises after a step below entropyTarget. Default false (TRL).
   */
  useAdaptiveEntropy?: boolean | undefined;
  /** Least entropyCoef with useAdaptiveEntropy. Default 0 (TRL). */
  entropyCoefMin?: number | undefined;
  /** Largest entropyCoef with useAdaptiveEntropy. Default 1 (TRL). */
  entropyCoefMax?: number | undefined;
  /** How far useAdaptiveEntropy moves entropyCoef after each step. Default 0.005 (TRL). */
  entropyCoefDelta?: number | undefined;
  /** Entropy per token, in nats, below which useAdaptiveEntropy asks for more. Default 0.2 (TRL). */
  entropyTarget?: number | undefined;
  /** sapo: temperature of positive advantages. Default 1 (TRL). */
  sapoTemperaturePos?: number | undefined;
  /** sapo: temperature of the other advantages. Default 1.05 (TRL). */
  sapoTemperatureNeg?: number | undefined;
  /** vespo: k of advantages from 0. Default 2 (TRL). */
  vespoKPos?: number | undefined;
  /** vespo: λ of advantages from 0. Default 3 (TRL). */
  vespoLambdaPos?: number | undefined;
  /** vespo: k of negative advantages. Default 3 (TRL). */
  vespoKNeg?: number | undefined;
  /** vespo: λ of negative advantages. Default 2 (TRL). */
  vespoLambdaNeg?: number | undefined;
  /** A new adapter has no dropout, so that ratios begin at 1 exactly. Default false (TRL). */
  disableDropout?: boolean | undefined;
  /** Seconds within which a call of a reward function must settle. Default null: any time. */
  rewardTimeout?: number | null | undefined;
  /** Calls of reward functions that run at once. Default 16. */
  rewardConcurrency?: number | undefined;
  /** How often a call of a reward function that failed is made again. Default 0. */
  rewardRetries?: number | undefined;
  /**
   * Completions with their rewards are in the events of each generation, for the terminal. Default false (TRL);
   * completions.jsonl holds all of them in any case.
   */
  logCompletions?: boolean | undefined;
  /** How many completions of a generation logCompletions shows. Default null: all (TRL). */
  numCompletionsToPrint?: number | null | undefined;
}
