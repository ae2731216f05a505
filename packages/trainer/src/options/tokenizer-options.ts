// The model of a run with the tokenizer that its options ask for.
import { type LanguageModel, OptionError, type TokenizerChanges } from "@tunesmith/core";

/** The model, with another chat template or end of sequence where the options say so. */
export async function withTokenizerOptions(
  model: LanguageModel,
  { chatTemplatePath, eosToken }: TokenizerChanges,
): Promise<LanguageModel> {
  if (chatTemplatePath === null && eosToken === null) return model;
  if (model.withTokenizer !== undefined) return model.withTokenizer({ chatTemplatePath, eosToken });
  const option = chatTemplatePath === null ? "eosToken" : "chatTemplatePath";
  throw new OptionError(
    `[${option}] expected a model whose tokenizer can be changed, got one without withTokenizer; open it with FastLanguageModel.fromPretrained`,
  );
}

/**
 * The same for a run that is about to begin, whose options no longer name a path: it is written down with the template's text and the end of
 * sequence, which a resumed run takes wherever the files are then.
 */
export async function exchangeTokenizer<Args extends TokenizerChanges>(
  given: LanguageModel,
  args: Args,
): Promise<{ model: LanguageModel; args: Args }> {
  const model = await withTokenizerOptions(given, args);
  if (args.chatTemplatePath === null) return { model, args };
  const [before, after] = [given.tokenizer.info.eosToken?.content, model.tokenizer.info.eosToken?.content];
  const eosToken = args.eosToken ?? (after === undefined || after === before ? null : after);
  return { model, args: { ...args, chatTemplatePath: null, eosToken } };
}
