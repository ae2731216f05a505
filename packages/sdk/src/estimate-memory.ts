// The memory of a run, also of a model that is not on this machine.
import type { LanguageModel } from "@tunesmith/core";
import { type EstimateOptions, estimateMemory as estimate, type MemoryEstimate } from "@tunesmith/trainer";
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
