// The memory, the fit and the speed of a run, the first two also of a model that is not on this machine.
import type { LanguageModel } from "@tunesmith/core";
import {
  type EstimateOptions,
  estimateMemory as estimate,
  type FitEstimate,
  estimateFit as fitOf,
  type MemoryEstimate,
  measureSpeed as measure,
  type SpeedEstimate,
} from "@tunesmith/trainer";
import { FastLanguageModel, type PretrainedOptions } from "./fast-language-model.ts";

/**
 * What a run with these options will take, and what is free, before any weight is read.
 *
 * @param model an opened model, or its path or ORG/NAME: of one of the Hub that is not cached only its configuration and the headers of
 *   its weight files are downloaded
 * @param load how a model that is named is opened
 */
export async function estimateMemory(
  model: LanguageModel | string,
  options: EstimateOptions = {},
  load: PretrainedOptions = {},
): Promise<MemoryEstimate> {
  if (typeof model !== "string") return estimate(model, options);
  return FastLanguageModel.describe(model, load, (described) => estimate(described, options));
}

/**
 * Whether a run with these options fits the free memory here and the memory of known GPUs, and the largest batch that fits here in one pass,
 * before any weight is read. A larger batch fits too, in more passes of `tokenBudget` tokens.
 *
 * @param model as for {@link estimateMemory}
 * @param load how a model that is named is opened
 */
export async function estimateFit(
  model: LanguageModel | string,
  options: EstimateOptions = {},
  load: PretrainedOptions = {},
): Promise<FitEstimate> {
  if (typeof model !== "string") return fitOf(model, options);
  return FastLanguageModel.describe(model, load, (described) => fitOf(described, options));
}

/**
 * Measures how fast a run with these options would be here: reads the weights, and runs 3 passes to warm up and 5 that are timed on
 * generated rows of `maxLength` tokens. Rejects with `OutOfMemoryError` where the run does not fit, else as a run does.
 *
 * @param model an opened model, or its path or ORG/NAME
 * @param load how a model that is named is opened
 */
export async function measureSpeed(
  model: LanguageModel | string,
  options: EstimateOptions = {},
  load: PretrainedOptions = {},
): Promise<SpeedEstimate> {
  return measure(typeof model === "string" ? await FastLanguageModel.fromPretrained(model, load) : model, options);
}
