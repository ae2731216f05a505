// A model with more tokens, under Unsloth's name.
import { OptionError, type OptionKeys, parseKeys } from "@tunesmith/core";
import type { FastLanguageModel } from "./fast-language-model.ts";

/** Options of {@link addNewTokens}. */
export interface NewTokensOptions {
  /** Texts of tokens, in the order of the ids they get. */
  newTokens: readonly string[];
  /** How their rows begin: as the mean of the others. Default `mean` (Unsloth). */
  method?: "mean";
  /** Left out of answers' text, and never made of a row's own words. Default false. */
  special?: boolean;
}

const keys: OptionKeys<NewTokensOptions> = { newTokens: "required", method: "optional text", special: "optional flag" };

/**
 * The model with more tokens (Unsloth's add_new_tokens, which takes the tokenizer besides: here the model has it). They get the next
 * ids; an adapter trains their rows alone, and its folder has the tokenizer with them. One that the vocabulary has already is left as it
 * is, and told in `info.warnings`.
 */
export async function addNewTokens(model: FastLanguageModel, options: NewTokensOptions): Promise<FastLanguageModel> {
  const { newTokens, method = "mean", special = false } = parseKeys(keys, options, "addNewTokens");
  if (method !== "mean")
    throw new OptionError(
      `[method] expected "mean", got ${JSON.stringify(method)}: a row made of the pieces of a token's text is not implemented; leave it out`,
    );
  if (!Array.isArray(newTokens) || newTokens.length === 0 || newTokens.some((token) => typeof token !== "string"))
    throw new OptionError(
      `[newTokens] expected a list of texts, got ${JSON.stringify(newTokens) ?? typeof newTokens}; give at least one`,
    );
  return model.withTokens(newTokens, { special });
}
