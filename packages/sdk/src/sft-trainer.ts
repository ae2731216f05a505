// The trainer, with the adapter options of `getPeftModel`.
import {
  SFTTrainer as BaseTrainer,
  type SFTMetrics,
  type SFTTrainerOptions,
  type TrainResult,
} from "@tunesmith/trainer";
import type { TrainerNames } from "./notebook-names.ts";
import { adoptResult, withModelOptions } from "./trained-model.ts";

/** Supervised fine-tuning (TRL's SFTTrainer). The adapter's options come with the model of `getPeftModel`, or as `peftConfig`. */
export class SFTTrainer extends BaseTrainer {
  readonly #model: SFTTrainerOptions["model"];

  constructor(options: SFTTrainerOptions & TrainerNames) {
    super(withModelOptions<SFTTrainerOptions>(options));
    this.#model = options.model;
  }

  /** Tells the model where its result is: from then on that is what it answers with and what its save methods write. */
  protected override finished({ adapterDir }: TrainResult<SFTMetrics>): void {
    adoptResult(this.#model, adapterDir);
  }
}
