// Options of preference optimization.
import * as z from "zod";
import { datasetFormats } from "./dataset-formats.ts";
import { count, grouped } from "./declare.ts";
import { sftConfigSchema } from "./sft.ts";
import { trainingArgumentsSchema } from "./training-arguments.ts";

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

const lossType = z.enum(dpoLossTypes);

const { columns, maxRowBytes, onBadRow, loadFromCacheFile } = sftConfigSchema.shape;

/** Options of preference optimization (names of TRL's DPOConfig): those of every run, how rows become pairs, and what is minimised. */
export const dpoConfigSchema = trainingArgumentsSchema
  .extend({
    ...grouped("data", {
      maxLength: count
        .nullable()
        .default(1024)
        .describe(
          "Tokens that a prompt with its answer may have: answers are cut, rows whose prompt has as many are left out; null: any number. Default 1024 (TRL).",
        ),
      datasetFormat: z
        .enum(["auto", ...datasetFormats])
        .default("auto")
        .describe(
          "Format of the rows, one of those with two answers. Default auto: by the columns of the first row; one of another format is an error.",
        ),
    }),
    ...grouped("memory", {
      precomputeRefLogProbs: z
        .boolean()
        .default(false)
        .describe(
          "Log-probabilities by the reference are computed once, before the first step, and kept for the runs after it (loadFromCacheFile), in place of with every step: the same numbers, and no second forward pass per step. Default false (TRL).",
        ),
      precomputeRefBatchSize: count
        .nullable()
        .default(null)
        .describe(
          "Pairs that the reference is asked of together; passes still have tokenBudget tokens at most. Default null: perDeviceTrainBatchSize, of evaluation rows perDeviceEvalBatchSize (TRL).",
        ),
    }),
    columns,
    maxRowBytes,
    onBadRow,
    loadFromCacheFile,
    ...grouped("optimizer", {
      learningRate: z
        .number()
        .nonnegative()
        .default(1e-6)
        .describe(
          "Peak learning rate. Default 0.000001 (TRL), made for all weights; an adapter usually takes 5e-6 to 1e-4.",
        ),
      lossType: z
        .union([lossType, z.array(lossType).min(1)])
        .overwrite((given) => (typeof given === "string" ? [given] : given))
        .default(["sigmoid"])
        .describe(
          "What is minimised, or a list whose weighted sum is: sigmoid (DPO, arXiv:2305.18290), hinge, ipo, exo_pair, nca_pair, robust, bco_pair, sppo_hard, aot, aot_unpaired, apo_zero, apo_down, discopop, sft, sigmoid_norm. Default sigmoid (TRL).",
        ),
      lossWeights: z
        .array(z.number())
        .nullable()
        .default(null)
        .describe("Weight of each loss of lossType. Default null: 1 each (TRL)."),
      beta: z
        .number()
        .positive()
        .default(0.1)
        .describe("How much an answer's gain in log-probability over the reference counts. Default 0.1 (TRL)."),
      fDivergenceType: z
        .enum(["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"])
        .default("reverse_kl")
        .describe(
          "Divergence that holds the model near the reference (arXiv:2309.16240), of the losses sigmoid, sigmoid_norm, hinge, ipo, exo_pair, robust, discopop and sft. Default reverse_kl (TRL).",
        ),
      fAlphaDivergenceCoef: z.number().default(0.5).describe("α of alpha_divergence. Default 0.5 (TRL)."),
      labelSmoothing: z
        .number()
        .min(0)
        .max(0.5)
        .default(0)
        .describe(
          "Share of the pairs that are taken to be the wrong way round, of the losses robust, exo_pair, aot and aot_unpaired. Default 0 (TRL).",
        ),
      ldAlpha: z
        .number()
        .min(0)
        .max(1)
        .nullable()
        .default(null)
        .describe(
          "Weight of an answer's tokens beyond the length of the shorter one (LD-DPO, arXiv:2409.06411). Default null: 1 (TRL).",
        ),
      useWeighting: z
        .boolean()
        .default(false)
        .describe(
          "Pairs count by how likely the model is to write their answers (WPO, arXiv:2406.11827). Default false (TRL).",
        ),
      discopopTau: z.number().positive().default(0.05).describe("Temperature of discopop. Default 0.05 (TRL)."),
      disableDropout: z
        .boolean()
        .default(true)
        .describe(
          "A new adapter has no dropout, so that model and reference differ in what is trained alone. Default true (TRL).",
        ),
    }),
  })
  .meta({
    title: "DPOConfig",
    description: "Options of preference optimization (names of TRL's DPOConfig in camelCase).",
  });

/** Options with their plain defaults. */
export type ParsedDPOConfig = z.output<typeof dpoConfigSchema>;
