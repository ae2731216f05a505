// The options of schemas as types; written by `npm run generate`.
import type { TrainingArguments } from "./types.ts";

/** Options of preference optimization (names of TRL's DPOConfig in camelCase). */
export interface DPOConfig extends TrainingArguments {
  /** Peak learning rate. Default 0.000001 (TRL), made for all weights; an adapter usually takes 5e-6 to 1e-4. */
  learningRate?: number | undefined;
  /**
   * Tokens that a prompt with its answer may have: answers are cut, rows whose prompt has as many are left out; null:
   * any number. Default 1024 (TRL).
   */
  maxLength?: number | null | undefined;
  /**
   * Format of the rows, one of those with two answers. Default auto: by the columns of the first row; one of another
   * format is an error.
   */
  datasetFormat?:
    | "auto"
    | "tokenized"
    | "messages"
    | "prompt-completion"
    | "sharegpt"
    | "alpaca"
    | "text"
    | "openai-preference"
    | "preference"
    | "prompt-only"
    | undefined;
  /**
   * Log-probabilities by the reference are computed once, before the first step, and kept for the runs after it
   * (loadFromCacheFile), in place of with every step: the same numbers, and no second forward pass per step. Default
   * false (TRL).
   */
  precomputeRefLogProbs?: boolean | undefined;
  /**
   * Pairs that the reference is asked of together; passes still have tokenBudget tokens at most. Default null:
   * perDeviceTrainBatchSize, of evaluation rows perDeviceEvalBatchSize (TRL).
   */
  precomputeRefBatchSize?: number | null | undefined;
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
  /**
   * Files of 4 MiB or more are prepared once and kept in HF_DATASETS_CACHE; a run with the same rows, tokenizer,
   * template and options takes them from there. What difficulty measures before the first step is kept there too, for
   * the same model and rows. Default true (datasets).
   */
  loadFromCacheFile?: boolean | undefined;
  /**
   * What is minimised, or a list whose weighted sum is: sigmoid (DPO, arXiv:2305.18290), hinge, ipo, exo_pair,
   * nca_pair, robust, bco_pair, sppo_hard, aot, aot_unpaired, apo_zero, apo_down, discopop, sft, sigmoid_norm. Default
   * sigmoid (TRL).
   */
  lossType?:
    | "sigmoid"
    | "hinge"
    | "ipo"
    | "exo_pair"
    | "nca_pair"
    | "robust"
    | "bco_pair"
    | "sppo_hard"
    | "aot"
    | "aot_unpaired"
    | "apo_zero"
    | "apo_down"
    | "discopop"
    | "sft"
    | "sigmoid_norm"
    | (
        | "sigmoid"
        | "hinge"
        | "ipo"
        | "exo_pair"
        | "nca_pair"
        | "robust"
        | "bco_pair"
        | "sppo_hard"
        | "aot"
        | "aot_unpaired"
        | "apo_zero"
        | "apo_down"
        | "discopop"
        | "sft"
        | "sigmoid_norm"
      )[]
    | undefined;
  /** Weight of each loss of lossType. Default null: 1 each (TRL). */
  lossWeights?: number[] | null | undefined;
  /** How much an answer's gain in log-probability over the reference counts. Default 0.1 (TRL). */
  beta?: number | undefined;
  /**
   * Divergence that holds the model near the reference (arXiv:2309.16240), of the losses sigmoid, sigmoid_norm, hinge,
   * ipo, exo_pair, robust, discopop and sft. Default reverse_kl (TRL).
   */
  fDivergenceType?: "reverse_kl" | "forward_kl" | "js_divergence" | "alpha_divergence" | undefined;
  /** α of alpha_divergence. Default 0.5 (TRL). */
  fAlphaDivergenceCoef?: number | undefined;
  /**
   * Share of the pairs that are taken to be the wrong way round, of the losses robust, exo_pair, aot and aot_unpaired.
   * Default 0 (TRL).
   */
  labelSmoothing?: number | undefined;
  /**
   * Weight of an answer's tokens beyond the length of the shorter one (LD-DPO, arXiv:2409.06411). Default null: 1
   * (TRL).
   */
  ldAlpha?: number | null | undefined;
  /** Pairs count by how likely the model is to write their answers (WPO, arXiv:2406.11827). Default false (TRL). */
  useWeighting?: boolean | undefined;
  /** Temperature of discopop. Default 0.05 (TRL). */
  discopopTau?: number | undefined;
  /** A new adapter has no dropout, so that model and reference differ in what is trained alone. Default true (TRL). */
  disableDropout?: boolean | undefined;
}
