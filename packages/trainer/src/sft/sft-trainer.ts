// Supervised fine-tuning, from its inputs to a run.
import {
  AbortError,
  type GivenOptions,
  type LanguageModel,
  type LoraConfig,
  loraConfigSchema,
  OptionError,
  parseOptions,
  type SFTConfig,
  sftConfigSchema,
  TunesmithError,
} from "@tunesmith/core";
import type { DatasetSource } from "@tunesmith/data";
import { TrainRun } from "../loop/run.ts";
import { type TrainCallback, Training } from "../loop/training.ts";
import { setUp, type TrainingInputs } from "./setup.ts";

/** What an {@link SFTTrainer} is made of. */
export interface SFTTrainerOptions {
  model: LanguageModel;
  /** Path of a JSONL or JSON file, an array of rows, or an async iterable of rows. */
  trainDataset: DatasetSource;
  /** Held-out rows, in the same forms. */
  evalDataset?: DatasetSource | null;
  /** Options of the run. Default: none set. */
  args?: SFTConfig | GivenOptions;
  /** The adapter. Default: a new one of rank 16 on every linear layer. */
  peftConfig?: LoraConfig | GivenOptions;
  /** Called with every event, in order, and awaited. */
  callbacks?: readonly TrainCallback[];
}

/** How a run is started. */
export interface TrainOptions {
  /** True: from the newest whole checkpoint of `outputDir`. A path: from that checkpoint. Default false. */
  resumeFromCheckpoint?: boolean | string;
  /** Ends the run as {@link TrainRun.abort} does. */
  signal?: AbortSignal;
}

/** Supervised fine-tuning (TRL's SFTTrainer). Options are checked here, data and files when the run starts. */
export class SFTTrainer {
  readonly #inputs: TrainingInputs;
  readonly #callbacks: readonly TrainCallback[];

  constructor({
    model,
    trainDataset,
    evalDataset = null,
    args = {},
    peftConfig = {},
    callbacks = [],
  }: SFTTrainerOptions) {
    const peft = parseOptions(loraConfigSchema, peftConfig);
    if (peft.fullFinetuning && peft.adapterPath !== null) {
      throw new OptionError("[adapterPath] expected no adapter with fullFinetuning, got both; leave one of them out");
    }
    this.#inputs = { model, trainDataset, evalDataset, args: parseOptions(sftConfigSchema, args), peft };
    this.#callbacks = callbacks;
  }

  /** Starts training at once. Await the run for its result, or iterate it for its events. */
  train({ resumeFromCheckpoint = false, signal }: TrainOptions = {}): TrainRun {
    const inputs = this.#inputs;
    return new TrainRun(async (control) => {
      try {
        const setup = await setUp(inputs, resumeFromCheckpoint, control.signal);
        return await new Training(setup, inputs.model, control, this.#callbacks).run();
      } catch (error) {
        if (!control.signal.aborted || TunesmithError.isInstance(error)) throw error;
        throw new AbortError("[train] stopped as asked before the first step; nothing has been trained", {
          cause: error,
        });
      }
    }, signal);
  }
}
