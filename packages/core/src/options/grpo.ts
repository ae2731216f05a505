// Options of group relative policy optimization.
import * as z from "zod";
import { count, grouped } from "./declare.ts";
import { none, notYet, off, taken } from "./field/verdicts.ts";
import { sftConfigSchema } from "./sft.ts";
import { trainingArgumentsSchema } from "./training-arguments.ts";

/** Losses by TRL's names. */
export const grpoLossTypes = ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"] as const;

const { columns, maxRowBytes, onBadRow } = sftConfigSchema.shape;

const share = z.number().min(0).max(1);
const sharedWeights = "completions are written by the model in memory, with the weights that are trained";

const rows = {
  ...grouped("data", {
    datasetFormat: z
      .enum(["auto", "prompt-only"])
      .default("auto")
      .describe("Format of the rows: a column prompt, and any others for the reward functions. Default auto."),
    maxPromptLength: count
      .nullable()
      .default(null)
      .describe("Tokens that a prompt may have: rows with a longer one are left out. Default null: any number (TRL)."),
    shuffleDataset: z
      .boolean()
      .default(true)
      .describe(
        "Rows are taken in the order of trainSamplingStrategy, else in that of the data set. Default true (TRL).",
      ),
  }),
  columns,
  maxRowBytes,
  onBadRow,
};

const sampling = grouped("data", {
  numGenerations: z.int().min(2).default(8).describe("Completions of a prompt, at least 2. Default 8 (TRL)."),
  maxCompletionLength: count
    .default(512)
    .describe("Tokens of a completion at most; one that has no end by then is cut. Default 512 (TRL)."),
  generationBatchSize: count
    .nullable()
    .default(null)
    .describe(
      "Completions that are sampled at once, a multiple of perDeviceTrainBatchSize and of numGenerations; in place of stepsPerGeneration. Default null: perDeviceTrainBatchSize · stepsPerGeneration (TRL).",
    ),
  stepsPerGeneration: count
    .nullable()
    .default(null)
    .describe(
      "Micro-batches that a generation is cut into, in place of generationBatchSize. Default null: gradientAccumulationSteps (TRL).",
    ),
  numIterations: count
    .default(1)
    .describe("How often each generation is trained on before the next is sampled. Default 1 (TRL)."),
  temperature: z
    .number()
    .positive()
    .default(1)
    .describe(
      "Temperature of sampling; log-probabilities and entropies of training are of the distribution at it. Default 1 (TRL).",
    ),
  topP: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe("Sample from the likeliest tokens of this total probability. Default 1 (TRL)."),
  topK: z
    .int()
    .nonnegative()
    .default(0)
    .describe("Sample from the k likeliest tokens; 0 is all of them. Default 0 (TRL)."),
  minP: share
    .nullable()
    .default(null)
    .describe("Drop tokens less likely than this times the likeliest. Default null: none (TRL)."),
  repetitionPenalty: z
    .number()
    .positive()
    .default(1)
    .describe("Divides positive and multiplies negative logits of tokens that are there already. Default 1 (TRL)."),
});

const rewards = grouped("optimizer", {
  rewardWeights: z
    .array(z.number())
    .nullable()
    .default(null)
    .describe("Weight of each reward function, in their order. Default null: 1 each (TRL)."),
  scaleRewards: z
    .union([z.enum(["group", "batch", "none"]), z.boolean()])
    .overwrite((given) => (typeof given === "boolean" ? (given ? "group" : "none") : given))
    .default("group")
    .describe(
      "What the distance of a reward from its group's mean is divided by: the group's standard deviation (true), that of the whole batch, or nothing (false). Default group (TRL).",
    ),
  multiObjectiveAggregation: z
    .enum(["sum_then_normalize", "normalize_then_sum"])
    .default("sum_then_normalize")
    .describe(
      "How several rewards become one advantage: their weighted sum is standardised, or each is and the sum over the batch again. Default sum_then_normalize (TRL).",
    ),
});

const objective = grouped("optimizer", {
  learningRate: z
    .number()
    .nonnegative()
    .default(1e-6)
    .describe(
      "Peak learning rate. Default 0.000001 (TRL), made for all weights; an adapter usually takes 5e-6 to 5e-5.",
    ),
  lossType: z
    .enum(grpoLossTypes)
    .default("dapo")
    .describe(
      "What is minimised: grpo (arXiv:2402.03300), bnpo, dr_grpo (arXiv:2503.20783), dapo (arXiv:2503.14476), cispo (arXiv:2506.13585), sapo (arXiv:2511.20347), luspo, vespo. Default dapo (TRL).",
    ),
  beta: z
    .number()
    .nonnegative()
    .default(0)
    .describe("Factor of the divergence from the reference; 0 asks no reference. Default 0 (TRL)."),
  epsilon: z
    .number()
    .positive()
    .default(0.2)
    .describe("A token's ratio is clipped below 1 − epsilon. Default 0.2 (TRL)."),
  epsilonHigh: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe(
      "A token's ratio is clipped above 1 + epsilonHigh (DAPO takes 0.28); of cispo the bound of the ratio itself (5 in its paper). Default null: epsilon (TRL).",
    ),
  delta: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe(
      "Bound of the ratio whatever the advantage, above 1 + epsilonHigh (arXiv:2505.07291). Default null: none (TRL).",
    ),
  importanceSamplingLevel: z
    .enum(["token", "sequence"])
    .default("token")
    .describe(
      "Whether each token has a ratio, or the completion one for all of its tokens (GSPO, arXiv:2507.18071). Default token (TRL).",
    ),
  useBiasCorrectionKl: z
    .boolean()
    .default(true)
    .describe("The divergence of a token is times its ratio. Default true (TRL)."),
  maskTruncatedCompletions: z
    .boolean()
    .default(false)
    .describe("Completions that were cut at maxCompletionLength are not trained on. Default false (TRL)."),
  topEntropyQuantile: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe(
      "Share of a micro-batch's tokens, those of the highest entropy, that the policy is trained on (arXiv:2506.01939 takes 0.2). Default 1 (TRL).",
    ),
  offPolicyMaskThreshold: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe(
      "A completion of negative advantage whose tokens have on average lost more than this in log-probability since it was sampled is not trained on. Default null: none (TRL).",
    ),
  entropyCoef: z
    .number()
    .default(0)
    .describe("Factor of the mean entropy, which is added to what is maximised. Default 0 (TRL)."),
  useAdaptiveEntropy: z
    .boolean()
    .default(false)
    .describe(
      "entropyCoef follows the entropy (arXiv:2505.22312): it rises after a step below entropyTarget. Default false (TRL).",
    ),
  entropyCoefMin: z.number().default(0).describe("Least entropyCoef with useAdaptiveEntropy. Default 0 (TRL)."),
  entropyCoefMax: z.number().default(1).describe("Largest entropyCoef with useAdaptiveEntropy. Default 1 (TRL)."),
  entropyCoefDelta: z
    .number()
    .nonnegative()
    .default(0.005)
    .describe("How far useAdaptiveEntropy moves entropyCoef after each step. Default 0.005 (TRL)."),
  entropyTarget: z
    .number()
    .nonnegative()
    .default(0.2)
    .describe("Entropy per token, in nats, below which useAdaptiveEntropy asks for more. Default 0.2 (TRL)."),
  sapoTemperaturePos: z
    .number()
    .positive()
    .default(1)
    .describe("sapo: temperature of positive advantages. Default 1 (TRL)."),
  sapoTemperatureNeg: z
    .number()
    .positive()
    .default(1.05)
    .describe("sapo: temperature of the other advantages. Default 1.05 (TRL)."),
  vespoKPos: z.number().positive().default(2).describe("vespo: k of advantages from 0. Default 2 (TRL)."),
  vespoLambdaPos: z.number().positive().default(3).describe("vespo: λ of advantages from 0. Default 3 (TRL)."),
  vespoKNeg: z.number().positive().default(3).describe("vespo: k of negative advantages. Default 3 (TRL)."),
  vespoLambdaNeg: z.number().positive().default(2).describe("vespo: λ of negative advantages. Default 2 (TRL)."),
  disableDropout: z
    .boolean()
    .default(false)
    .describe("A new adapter has no dropout, so that ratios begin at 1 exactly. Default false (TRL)."),
});

const calls = grouped("run", {
  rewardTimeout: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe("Seconds within which a call of a reward function must settle. Default null: any time."),
  rewardConcurrency: count.default(16).describe("Calls of reward functions that run at once. Default 16."),
  rewardRetries: z
    .int()
    .nonnegative()
    .default(0)
    .describe("How often a call of a reward function that failed is made again. Default 0."),
  logCompletions: z
    .boolean()
    .default(false)
    .describe(
      "Completions with their rewards are in the events of each generation, for the terminal. Default false (TRL); completions.jsonl holds all of them in any case.",
    ),
  numCompletionsToPrint: count
    .nullable()
    .default(null)
    .describe("How many completions of a generation logCompletions shows. Default null: all (TRL)."),
});

const named = grouped("taken", {
  useVllm: taken(z.boolean(), false, sharedWeights),
  vllmMode: taken(z.string(), "colocate", sharedWeights),
  vllmGpuMemoryUtilization: taken(z.number(), 0.3, sharedWeights),
  vllmTensorParallelSize: taken(z.int(), 1, sharedWeights),
  vllmEnableSleepMode: taken(z.boolean(), false, sharedWeights),
  useTransformersContinuousBatching: taken(z.boolean(), false, sharedWeights),
  ds3GatherForGeneration: taken(z.boolean(), true, sharedWeights),
  castLmHeadToFp32: taken(z.boolean(), false, "log-probabilities are computed in float32 anyway"),
  generationKwargs: notYet(none, null, "other", "give temperature, topP, topK, minP and repetitionPenalty"),
  chatTemplateKwargs: notYet(none, null, "other", "write what the template needs into chatTemplatePath"),
  maxToolCallingIterations: notYet(none, null, "planned", "tools are not called during training"),
  logUniquePrompts: notYet(off, false, "other", "completions.jsonl holds every prompt"),
  numGenerationsEval: notYet(none, null, "planned", "an evaluation set is not answered and rewarded; leave it out"),
});

/** Options of group relative policy optimization (names of TRL's GRPOConfig). */
export const grpoConfigSchema = trainingArgumentsSchema
  .extend({ ...rows, ...sampling, ...rewards, ...objective, ...calls, ...named })
  .meta({
    title: "GRPOConfig",
    description: "Options of group relative policy optimization (names of TRL's GRPOConfig in camelCase).",
  });

/** Options with their plain defaults. */
export type ParsedGRPOConfig = z.output<typeof grpoConfigSchema>;
