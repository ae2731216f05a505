// What trainers take from the model that they are given, and give back to it.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type LanguageModel, type LoraConfig, OptionError } from "@tunesmith/core";
import { FastLanguageModel, PeftModel } from "./fast-language-model.ts";
import { noDefaults, type RunArguments, type TrainerNames, withRunOptions } from "./notebook-names.ts";

/** Options of a trainer, with those of the adapter and of the runs that its model came with. */
export function withModelOptions<Options extends RunArguments>(given: Options & TrainerNames): Options {
  const { model, peftConfig } = (given ?? {}) as { model?: LanguageModel; peftConfig?: LoraConfig };
  if (model instanceof PeftModel && peftConfig !== undefined) {
    throw new OptionError(
      "[peftConfig] expected adapter options once, got them from getPeftModel() and as peftConfig; leave one out",
    );
  }
  const own = model instanceof PeftModel ? { ...given, peftConfig: model.peftConfig } : (given ?? {});
  return withRunOptions(own as Options, model instanceof FastLanguageModel ? model.runDefaults : noDefaults);
}

/** Tells a model where its result is: from then on that is what it answers with and what its save methods write. */
export function adoptResult(model: LanguageModel, adapterDir: string): void {
  if (!(model instanceof FastLanguageModel)) return;
  // After full fine-tuning the folder holds a whole model.
  const isAdapter = existsSync(join(adapterDir, "adapter_config.json"));
  model.adopt(isAdapter ? { model: model.info.path, adapter: adapterDir } : { model: adapterDir, adapter: null });
}
