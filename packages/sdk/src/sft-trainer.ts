// The trainer, with the adapter options of `getPeftModel`.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { OptionError } from "@tunesmith/core";
import {
  SFTTrainer as BaseTrainer,
  type SFTMetrics,
  type SFTTrainerOptions,
  type TrainResult,
} from "@tunesmith/trainer";
import { FastLanguageModel, PeftModel } from "./fast-language-model.ts";
import { noDefaults, type TrainerNames, withRunOptions } from "./notebook-names.ts";

/** Supervised fine-tuning (TRL's SFTTrainer). The adapter's options come with the model of `getPeftModel`, or as `peftConfig`. */
export class SFTTrainer extends BaseTrainer {
  readonly #model: SFTTrainerOptions["model"];

  constructor(options: SFTTrainerOptions & TrainerNames) {
    const { model, peftConfig } = options ?? {};
    if (model instanceof PeftModel && peftConfig !== undefined) {
      throw new OptionError(
        "[peftConfig] expected adapter options once, got them from getPeftModel() and as peftConfig; leave one out",
      );
    }
    const own = model instanceof PeftModel ? { ...options, peftConfig: model.peftConfig } : (options ?? {});
    super(withRunOptions(own, model instanceof FastLanguageModel ? model.runDefaults : noDefaults));
    this.#model = model;
  }

  /** Tells the model where its result is: from then on that is what it answers with and what its save methods write. */
  protected override finished({ adapterDir }: TrainResult<SFTMetrics>): void {
    const model = this.#model;
    if (!(model instanceof FastLanguageModel)) return;
    // After full fine-tuning the folder holds a whole model.
    const isAdapter = existsSync(join(adapterDir, "adapter_config.json"));
    model.adopt(isAdapter ? { model: model.info.path, adapter: adapterDir } : { model: adapterDir, adapter: null });
  }
}
