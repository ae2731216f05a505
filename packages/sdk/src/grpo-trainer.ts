// The trainer of rewards, with the adapter options of `getPeftModel`, and rewards that compare texts by the engine's binding.
import { canonicalName } from "@tunesmith/core";
import { similarity } from "@tunesmith/native";
import {
  GRPOTrainer as BaseTrainer,
  type GRPOMetrics,
  type GRPOTrainerOptions,
  type RewardFunction,
  rougeReward,
  type TextSimilarityMetric,
  type TrainResult,
  textSimilarityReward,
} from "@tunesmith/trainer";
import { adoptResult, withModelOptions } from "./trained-model.ts";

/**
 * Group relative policy optimization (TRL's GRPOTrainer). The adapter's options come with the model of `getPeftModel`, or as `peftConfig`.
 */
export class GRPOTrainer extends BaseTrainer {
  readonly #model: GRPOTrainerOptions["model"];

  constructor(options: GRPOTrainerOptions) {
    super(withoutMaxLength(options));
    this.#model = options.model;
  }

  /** Tells the model where its result is: from then on that is what it answers with and what its save methods write. */
  protected override finished({ adapterDir }: TrainResult<GRPOMetrics>): void {
    adoptResult(this.#model, adapterDir);
  }
}

/** What a model was opened for has a length of rows, which there is none of here. */
function withoutMaxLength(given: GRPOTrainerOptions): GRPOTrainerOptions {
  const options = withModelOptions<GRPOTrainerOptions>(given);
  const isGiven = Object.keys(given?.args ?? {}).some((name) => canonicalName(name) === "maxLength");
  if (isGiven) return options;
  const { maxLength: _, ...args } = (options.args ?? {}) as Record<string, unknown>;
  return { ...options, args };
}

/** ROUGE-L F-measure of each completion against a column, by default `solution`, 0 to 1 (Lin 2004). */
export function getRougeReward(options: { column?: string } = {}): RewardFunction {
  return rougeReward(similarity, options);
}

/** How alike each completion is to a column, by default `solution`, 0 to 1: `fuzzy_match` or `rouge_l`. */
export function getTextSimilarityReward(options: {
  evaluationMetric: TextSimilarityMetric;
  column?: string;
}): RewardFunction {
  return textSimilarityReward(similarity, options);
}
