// Self-Instruct, with the engine's binding to compare texts, and with models as they answer.
import { createHash } from "node:crypto";
import { modelConfigSchema, parseOptions } from "@tunesmith/core";
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

/** All that is known to decide what a model writes: where it is from, its adapter, and how its weights are held where that was chosen. */
function identityOf({ info: { origin }, saved, weightOptions }: FastLanguageModel): string {
  const usual: Readonly<Record<string, unknown>> = parseOptions(modelConfigSchema, {});
  const chosen = Object.entries(weightOptions).filter(([name, value]) => value !== usual[name]);
  const held = chosen.map(([name, value]) => `${name} ${name === "chatTemplate" ? digest(value) : String(value)}`);
  const base = origin === null ? saved.model : `${origin.name} at ${origin.revision}`;
  return [base, ...(saved.adapter === null ? [] : [`with ${saved.adapter}`]), ...held].join(" ");
}

function digest(value: unknown): string {
  return createHash("sha256").update(String(value)).digest("hex").slice(0, 16);
}

/** A model as it answers: with its adapter, and with the weights that it has loaded already. */
function answering(model: FastLanguageModel): TextModel {
  const { info, tokenizer } = model;
  return {
    info,
    identity: identityOf(model),
    tokenizer,
    async createGenerator() {
      const session = await model.answering();
      return { generate: (options) => session.generate(options), [Symbol.asyncDispose]: async () => {} };
    },
  };
}
