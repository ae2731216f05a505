// The trainer, with the adapter options of `getPeftModel`.
import { OptionError } from "@tunesmith/core";
import { SFTTrainer as BaseTrainer, type SFTTrainerOptions } from "@tunesmith/trainer";
import { PeftModel } from "./fast-language-model.ts";

/** Supervised fine-tuning (TRL's SFTTrainer). The adapter's options come with the model of `getPeftModel`, or as `peftConfig`. */
export class SFTTrainer extends BaseTrainer {
  constructor(options: SFTTrainerOptions) {
    const { model, peftConfig } = options;
    if (model instanceof PeftModel && peftConfig !== undefined) {
      throw new OptionError(
        "[peftConfig] expected adapter options once, got them from getPeftModel() and as peftConfig; leave one out",
      );
    }
    super(model instanceof PeftModel ? { ...options, peftConfig: model.peftConfig } : options);
  }
}
