// The trainer of preferences, with the adapter options of `getPeftModel`.
import {
  DPOTrainer as BaseTrainer,
  type DPOMetrics,
  type DPOTrainerOptions,
  type TrainResult,
} from "@tunesmith/trainer";
import { adoptResult, withModelOptions } from "./trained-model.ts";

/** Preference optimization (TRL's DPOTrainer). The adapter's options come with the model of `getPeftModel`, or as `peftConfig`. */
export class DPOTrainer extends BaseTrainer {
  readonly #model: DPOTrainerOptions["model"];

  constructor(options: DPOTrainerOptions) {
    super(withModelOptions<DPOTrainerOptions>(options));
    this.#model = options.model;
  }

  /** Tells the model where its result is: from then on that is what it answers with and what its save methods write. */
  protected override finished({ adapterDir }: TrainResult<DPOMetrics>): void {
    adoptResult(this.#model, adapterDir);
  }
}
