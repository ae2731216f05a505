// Self-Instruct, with the engine's binding to compare texts, and with models as they answer.

import { similarity } from "@tunesmith/native";
import {
  type SelfInstructEvent,
  type SelfInstructOptions,
  selfInstruct as selfInstructBy,
  type TextModel,
} from "@tunesmith/synth";
import { FastLanguageModel } from "./fast-language-model.ts";

/**
 * Makes rows of seed tasks by the pipeline of Self-Instruct (Wang et al. 2022): instructions, which of them are classification, their
 * instances, rows. What happens comes as events, the last of which is `done` with the report; the same seed and the same replies give
 * the same rows. Wrong options are an `OptionError` at once; wrong seeds a `DataError` with the first event. A model writes with the
 * adapter that it answers with, and keeps its weights in memory until it is disposed of.
 */
export function selfInstruct(options: SelfInstructOptions): AsyncGenerator<SelfInstructEvent, void, undefined> {
  const { generate } = options;
  const writer = generate instanceof FastLanguageModel ? answering(generate) : generate;
  return selfInstructBy({ ...options, generate: writer }, similarity);
}

/** A model as it answers: with its adapter, and with the weights that it has loaded already. */
function answering(model: FastLanguageModel): TextModel {
  const { info, tokenizer, saved } = model;
  const base = info.origin?.name ?? saved.model;
  return {
    info,
    identity: saved.adapter === null ? base : `${base} with ${saved.adapter}`,
    tokenizer,
    async createGenerator() {
      const session = await model.answering();
      return { generate: (options) => session.generate(options), [Symbol.asyncDispose]: async () => {} };
    },
  };
}
