// Supervised fine-tuning, from what a user gives to a trainer.
import {
  type LanguageModel,
  type LoraConfig,
  type OptionKeys,
  type ParsedSFTConfig,
  parseKeys,
  parseOptions,
  type SFTConfig,
  sftConfigSchema,
} from "@tunesmith/core";
import type { DatasetSource } from "@tunesmith/data";
import type { TrainCallback } from "../loop/emitter.ts";
import { Trainer } from "../loop/trainer.ts";
import { parsePeftConfig } from "../options/peft-config.ts";
import type { SFTMetrics } from "./metrics.ts";
import { sftRecipe } from "./recipe.ts";

/** What an {@link SFTTrainer} is made of. */
export interface SFTTrainerOptions {
  model: LanguageModel;
  /** Path of a JSONL or JSON file, an array of rows, or an async iterable of rows. */
  trainDataset: DatasetSource;
  /** Held-out rows, in the same forms. */
  evalDataset?: DatasetSource | null;
  /** Options of the run. Default: none set. */
  args?: SFTConfig;
  /** The adapter. Default: a new one of rank 16 on every linear layer. */
  peftConfig?: LoraConfig;
  /** Called with every event, in order, and awaited. */
  callbacks?: readonly TrainCallback<SFTMetrics>[];
}

/** Its names; a type cannot tell them at run time. */
export const sftTrainerKeys: OptionKeys<SFTTrainerOptions> = {
  model: "required",
  trainDataset: "required",
  evalDataset: "optional",
  args: "optional",
  peftConfig: "optional",
  callbacks: "optional",
};

/** Supervised fine-tuning (TRL's SFTTrainer). Options are checked here, data and files when the run starts. */
export class SFTTrainer extends Trainer<ParsedSFTConfig, SFTMetrics> {
  constructor(options: SFTTrainerOptions) {
    const given = parseKeys(sftTrainerKeys, options, "SFTTrainer");
    const { model, trainDataset, evalDataset = null, args = {}, peftConfig = {}, callbacks = [] } = given;
    const peft = parsePeftConfig(peftConfig);
    const inputs = { model, trainDataset, evalDataset, args: parseOptions(sftConfigSchema, args), peft };
    super(sftRecipe, inputs, callbacks);
  }
}
