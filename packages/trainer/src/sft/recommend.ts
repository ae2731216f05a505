// Recommends options of a run by the size of its data set, the lengths of its rows, and its model.
import {
  type LanguageModel,
  type ModelInfo,
  type OptionKeys,
  type ParsedSFTConfig,
  parseKeys,
  parseOptions,
  plural,
  type SFTConfig,
  sftConfigSchema,
} from "@tunesmith/core";
import { recommendEpochs } from "@tunesmith/curriculum";
import type { DataReport, DatasetSource, FormattingFunc, PrepareProgress } from "@tunesmith/data";
import type { RecipeInputs } from "../loop/recipe.ts";
import { peakLearningRate } from "../options/parameter-groups.ts";
import { withPreset } from "../options/preset.ts";
import { withTokenizerOptions } from "../options/tokenizer-options.ts";
import { batchFor } from "./advised-batch.ts";
import { prepareRows, withinContext } from "./prepare.ts";

/** Options that fit a data set and a model, and why. */
export interface TrainingAdvice {
  numTrainEpochs: number;
  maxLength: number;
  perDeviceTrainBatchSize: number;
  gradientAccumulationSteps: number;
  learningRate: number;
  /** What a data set of this size usually teaches. */
  expected: string;
  /** Why, one sentence for epochs, length, batch and rate each. */
  reasons: string[];
}

/** The options that advice is about. */
export const advisedOptions = [
  "numTrainEpochs",
  "maxLength",
  "perDeviceTrainBatchSize",
  "gradientAccumulationSteps",
  "learningRate",
] as const;

/** An option that advice is about. */
export type AdvisedOption = (typeof advisedOptions)[number];

/** How {@link recommendTraining} reads rows. */
export interface RecommendOptions {
  /** Options of the run that say how rows are read; what it recommends is not read. Default: none set. */
  args?: SFTConfig;
  /** Whether all weights are trained, and no adapter. Default false. */
  fullFinetuning?: boolean;
}

const keys: OptionKeys<RecommendOptions> = { args: "optional", fullFinetuning: "optional" };

/**
 * Recommends epochs, `maxLength`, batch and learning rate for a data set and a model, and says why: epochs by the table of sample
 * efficiency (100–1K rows: 3–5, 1K–10K: 1–3, 10K–100K: 1, above: 0.5–1), the rest by lengths and usual values. Rejects as a run would.
 */
export async function recommendTraining(
  dataset: DatasetSource,
  model: LanguageModel,
  options: RecommendOptions = {},
): Promise<TrainingAdvice> {
  const { args: given = {}, fullFinetuning = false } = parseKeys(keys, options, "recommendTraining");
  const parsed = parseOptions(sftConfigSchema, withPreset(given, {}, model).args);
  const own = await withTokenizerOptions(model, parsed);
  // Whole rows, as far as the model reads.
  const args = withinContext({ ...parsed, maxLength: null }, own, []);
  const reader = { tokenizer: own.tokenizer, vocabSize: own.info.vocabSize };
  const request = { source: dataset, name: "dataset", keepItems: 0, formattingFunc: null };
  const { report } = await prepareRows(request, reader, args, new AbortController().signal);
  return adviseTraining(report, own.info, { fullFinetuning });
}

/** The inputs of a run, where `auto` is on with what is recommended for the options that are not set. */
export async function withAdvice(
  inputs: RecipeInputs<ParsedSFTConfig>,
  { advised, formattingFunc }: { advised: readonly AdvisedOption[]; formattingFunc: FormattingFunc | null },
  signal: AbortSignal,
): Promise<RecipeInputs<ParsedSFTConfig>> {
  const { args, model, onPreparing, peft, tokenizer, trainDataset: source } = inputs;
  // A packed row is as long as it is asked to be, whatever its examples are; tokens limit a batch in place of rows.
  const idle: AdvisedOption[] = [];
  if (args.packing) idle.push("maxLength");
  if (args.maxTokensPerBatch !== null) idle.push("perDeviceTrainBatchSize");
  const open = advised.filter((name) => !idle.includes(name));
  if (!args.auto || open.length === 0) return inputs;
  const onProgress = (progress: PrepareProgress) => onPreparing("train", progress);
  const request = { source, name: "trainDataset", keepItems: 0, formattingFunc, onProgress };
  const reader = { tokenizer, vocabSize: model.info.vocabSize };
  const whole = withinContext({ ...args, maxLength: null }, model, []);
  const { report } = await prepareRows(request, reader, whole, signal);
  const { maxLength, packing, maxTokensPerBatch } = withinContext(args, model, []);
  const set = Object.fromEntries(
    advisedOptions.filter((name) => !open.includes(name)).map((name) => [name, args[name]]),
  );
  const advice = adviseTraining(report, model.info, {
    ...peft,
    set: { ...set, ...("maxLength" in set && { maxLength }), packing, maxTokensPerBatch },
  });
  return { ...inputs, args: { ...args, ...Object.fromEntries(open.map((name) => [name, advice[name]])) } };
}

/** Bytes of weights of two bytes each from which on a model is large: 30 billion parameters. */
const large = 60e9;

/** The same from the report of rows that have been read, beside what is set. */
export function adviseTraining(
  { kept, tokens, truncated }: Pick<DataReport, "kept" | "tokens" | "truncated">,
  { maxPositionEmbeddings: context, weightBytes }: Pick<ModelInfo, "maxPositionEmbeddings" | "weightBytes">,
  { fullFinetuning, set = {} }: { fullFinetuning: boolean; set?: SFTConfig },
): TrainingAdvice {
  const { min, max, recommended, expected } = recommendEpochs(kept);
  const usual = min === max ? `${min}` : `${min} to ${max}`;
  const numTrainEpochs = set.numTrainEpochs ?? recommended;
  const maxLength = set.maxLength ?? lengthFor({ tokens, truncated }, context);
  const isPacked = set.packing === true;
  const rows = isPacked ? Math.ceil(tokens.total / maxLength) : kept;
  const mean = isPacked ? maxLength : Math.min(maxLength, tokens.total / kept);
  const { perDeviceTrainBatchSize, gradientAccumulationSteps, ofStep } = batchFor(
    { rows, epochs: numTrainEpochs, tokens: { most: maxLength, mean } },
    set,
  );
  const isLarge = !fullFinetuning && weightBytes >= large;
  const learningRate = isLarge ? 1e-4 : peakLearningRate({ learningRate: null }, { fullFinetuning });
  const trained = fullFinetuning
    ? "all weights (TRL)"
    : isLarge
      ? "adapters of large models (QLoRA paper)"
      : "adapters (Unsloth, QLoRA paper)";
  return {
    numTrainEpochs,
    maxLength,
    perDeviceTrainBatchSize,
    gradientAccumulationSteps,
    learningRate,
    expected,
    reasons: [
      `${plural(numTrainEpochs, "epoch")}: ${plural(kept, "row")} usually take ${usual}, for ${expected}`,
      `maxLength ${maxLength}: ${truncated > 0 ? `${truncated} of ${plural(kept, "row")} have more than ${tokens.max} tokens` : `the longest row has ${tokens.max} tokens, 95 % have at most ${tokens.p95}`}; the model reads ${context}`,
      `batch ${perDeviceTrainBatchSize} × ${gradientAccumulationSteps}: ${plural(Math.ceil((rows * numTrainEpochs) / ofStep), "step")} in all`,
      `rate ${learningRate}: usual for ${trained}`,
    ],
  };
}

/** The longest row, rounded up; where few rows are much longer than the others, what 95 % of them have. */
function lengthFor({ tokens, truncated }: Pick<DataReport, "tokens" | "truncated">, context: number): number {
  const wanted = truncated > 0 ? 2 * tokens.max : Math.min(tokens.max, 4 * tokens.p95);
  return Math.min(context, Math.max(128, 64 * Math.ceil(wanted / 64)));
}
