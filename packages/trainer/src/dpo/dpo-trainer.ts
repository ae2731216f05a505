// Preference optimization, from what a user gives to a trainer.
import {
  type DPOConfig,
  dpoConfigSchema,
  type LanguageModel,
  type LoraConfig,
  OptionError,
  type OptionKeys,
  type ParsedDPOConfig,
  type ParsedLoraConfig,
  parseKeys,
  parseOptions,
  together,
} from "@tunesmith/core";
import type { SamplerFactory } from "@tunesmith/curriculum";
import type { DatasetSource, FormattingFunc } from "@tunesmith/data";
import type { HealthRule } from "../health/rule.ts";
import { parseHealthRules } from "../health/rules.ts";
import type { TrainCallback } from "../loop/hooks/callback.ts";
import type { MetricFunctions } from "../loop/hooks/own-metrics.ts";
import type { LrScheduler } from "../loop/lr-scheduler.ts";
import { Trainer } from "../loop/trainer.ts";
import { type EvalDatasets, parseEvalDatasets } from "../options/eval-sets.ts";
import { parseDataset, parseModel } from "../options/inputs.ts";
import { parsePeftConfig } from "../options/peft-config.ts";
import { lossSettings } from "./loss-settings.ts";
import type { DPOMetrics } from "./metrics.ts";
import { dpoRecipe } from "./recipe.ts";

/** What a {@link DPOTrainer} is made of. */
export interface DPOTrainerOptions {
  model: LanguageModel;
  /** Rows of two answers, `chosen` and `rejected`, with or without a `prompt`; OpenAI's form too (see docs/data.md). */
  trainDataset: DatasetSource;
  /** Held-out rows, in the same forms; several sets by name are evaluated one after another. */
  evalDataset?: EvalDatasets | null;
  /** Makes of each row a row of a format with two answers. Default: rows are read as they are. */
  formattingFunc?: FormattingFunc;
  /** Makes the order of the rows, in place of `trainSamplingStrategy`. Default: none. */
  sampler?: SamplerFactory;
  /** Gives the learning rate of each step, in place of `lrSchedulerType`. Default: none. */
  lrScheduler?: LrScheduler;
  /** Options of the run. Default: none set. */
  args?: DPOConfig;
  /** The adapter. Default: a new one of rank 16 on every linear layer. Of one that is continued the reference is a frozen copy. */
  peftConfig?: LoraConfig;
  /** Rules on the numbers of the run, besides those that there are. Default: none. */
  healthRules?: readonly HealthRule[];
  /** Measured on the rows of each evaluation set where the loss is, by their names. Default: none. */
  metrics?: MetricFunctions;
  /** Functions, or objects with a name and state, that are called with every event, in order, and awaited. Default: none. */
  callbacks?: readonly TrainCallback<DPOMetrics>[];
}

/** Its names; a type cannot tell them at run time. */
export const dpoTrainerKeys: OptionKeys<DPOTrainerOptions> = {
  model: "required",
  trainDataset: "required",
  evalDataset: "optional",
  formattingFunc: "optional function",
  sampler: "optional function",
  lrScheduler: "optional function",
  args: "optional",
  peftConfig: "optional",
  healthRules: "optional",
  metrics: "optional object",
  callbacks: "optional list",
};

/**
 * Preference optimization (TRL's DPOTrainer). Options are checked here, data and files when the run starts. The reference is the model with
 * its adapter switched off, or the adapter that is continued as it was; of full fine-tuning it is a frozen copy of the model.
 */
export class DPOTrainer extends Trainer<ParsedDPOConfig, DPOMetrics> {
  constructor(options: DPOTrainerOptions) {
    const { model, trainDataset, evalDataset = null } = options ?? {};
    const { formattingFunc = null, sampler = null, lrScheduler = null } = options ?? {};
    const { args = {}, peftConfig = {}, healthRules: rules = [], metrics = {}, callbacks = [] } = options ?? {};
    const [, base, train, held, config, peft, healthRules] = together(
      () => parseKeys(dpoTrainerKeys, options, "DPOTrainer"),
      () => (model === undefined ? model : parseModel(model)) as LanguageModel,
      () => (trainDataset === undefined ? trainDataset : parseDataset("trainDataset", trainDataset)) as DatasetSource,
      () => (evalDataset === null ? null : parseEvalDatasets(evalDataset)),
      () => parseOptions(dpoConfigSchema, args),
      () => parsePeftConfig(peftConfig),
      () => parseHealthRules(rules),
    );
    lossSettings(config);
    const functions = { formattingFunc, sampler, lrScheduler };
    const fromProgram = [
      ...Object.entries(functions).flatMap(([name, value]) => (value === null ? [] : [name])),
      ...(Object.keys(metrics).length > 0 ? ["metrics"] : []),
      ...(callbacks.some((callback) => typeof callback === "object") ? ["callbacks"] : []),
    ];
    const ofRun = { args: config, lrScheduler, healthRules, metrics };
    const inputs = { model: base, trainDataset: train, evalDataset: held, ...ofRun };
    super(dpoRecipe({ formattingFunc, sampler }), { ...inputs, peft: trainable(peft, config), fromProgram }, callbacks);
  }
}

/** The adapter that is trained, without dropout unless that is asked for. */
function trainable(peft: ParsedLoraConfig, { disableDropout }: ParsedDPOConfig): ParsedLoraConfig {
  if (!disableDropout || peft.fullFinetuning || peft.loraDropout === 0) return peft;
  if (peft.adapterPath !== null)
    throw new OptionError(
      `[disableDropout] expected an adapter without dropout to go on with, got loraDropout ${peft.loraDropout}; set disableDropout to false`,
    );
  return { ...peft, loraDropout: 0 };
}
