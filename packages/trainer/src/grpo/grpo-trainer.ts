// Group relative policy optimization, from what a user gives to a trainer.
import {
  type GRPOConfig,
  grpoConfigSchema,
  type LanguageModel,
  type LoraConfig,
  OptionError,
  type OptionKeys,
  type ParsedGRPOConfig,
  type ParsedLoraConfig,
  parseKeys,
  parseOptions,
  plural,
  together,
} from "@tunesmith/core";
import type { SamplerFactory } from "@tunesmith/curriculum";
import type { DatasetSource, FormattingFunc } from "@tunesmith/data";
import type { HealthRule } from "../health/rule.ts";
import { parseHealthRules } from "../health/rules.ts";
import type { TrainCallback } from "../loop/hooks/callback.ts";
import type { LrScheduler } from "../loop/lr-scheduler.ts";
import { Trainer } from "../loop/trainer.ts";
import { parseDataset, parseModel } from "../options/inputs.ts";
import { parsePeftConfig } from "../options/peft-config.ts";
import { namedRewards, type RewardFunction, type RewardObject } from "../rewards/reward.ts";
import { generationSizes } from "./generation-sizes.ts";
import { lossSettings } from "./loss-settings.ts";
import type { GRPOMetrics } from "./metrics.ts";
import { grpoRecipe } from "./recipe.ts";
import type { RolloutFunc } from "./rollout.ts";

/** One reward function, or several: functions, or objects with a name. */
export type RewardFuncs = RewardFunction | RewardObject | readonly (RewardFunction | RewardObject)[];

/** What a {@link GRPOTrainer} is made of. */
export interface GRPOTrainerOptions {
  model: LanguageModel;
  /** What rates completions. A function may be called twice for the same ones, where a run was stopped before its answer was stored. */
  rewardFuncs: RewardFuncs;
  /** Rows with a `prompt`, a text or messages; reward functions are given all other columns. */
  trainDataset: DatasetSource;
  /** Makes of each row a row with a prompt. Default: rows are read as they are. */
  formattingFunc?: FormattingFunc;
  /** Makes the order of the prompts, in place of `trainSamplingStrategy`. Default: none. */
  sampler?: SamplerFactory;
  /** Gives the completions, in one turn or several, in place of sampling. Default: they are sampled from the model. */
  rolloutFunc?: RolloutFunc;
  /** Gives the learning rate of each step, in place of `lrSchedulerType`. Default: none. */
  lrScheduler?: LrScheduler;
  /** Options of the run. Default: none set. */
  args?: GRPOConfig;
  /** The adapter. Default: a new one of rank 16 on every linear layer. Of one that is continued the reference is a frozen copy. */
  peftConfig?: LoraConfig;
  /** Rules on the numbers of the run, besides those that there are. Default: none. */
  healthRules?: readonly HealthRule[];
  /** Functions, or objects with a name and state, that are called with every event, in order, and awaited. Default: none. */
  callbacks?: readonly TrainCallback<GRPOMetrics>[];
}

/** Its names; a type cannot tell them at run time. */
export const grpoTrainerKeys: OptionKeys<GRPOTrainerOptions> = {
  model: "required",
  rewardFuncs: "required",
  trainDataset: "required",
  formattingFunc: "optional function",
  sampler: "optional function",
  rolloutFunc: "optional function",
  lrScheduler: "optional function",
  args: "optional",
  peftConfig: "optional",
  healthRules: "optional",
  callbacks: "optional list",
};

/**
 * Group relative policy optimization (TRL's GRPOTrainer): the model answers prompts several times, functions rate the answers, and those
 * that were better than the others of their prompt become likelier. Options are checked here, data and files when the run starts.
 */
export class GRPOTrainer extends Trainer<ParsedGRPOConfig, GRPOMetrics> {
  constructor(options: GRPOTrainerOptions) {
    const { model, rewardFuncs, trainDataset } = options ?? {};
    const { formattingFunc = null, sampler = null, rolloutFunc = null, lrScheduler = null } = options ?? {};
    const { args = {}, peftConfig = {}, healthRules: rules = [], callbacks = [] } = options ?? {};
    const [, base, rewards, train, config, peft, healthRules] = together(
      () => parseKeys(grpoTrainerKeys, options, "GRPOTrainer"),
      () => (model === undefined ? model : parseModel(model)) as LanguageModel,
      () => (rewardFuncs === undefined ? [] : namedRewards(rewardFuncs)),
      () => (trainDataset === undefined ? trainDataset : parseDataset("trainDataset", trainDataset)) as DatasetSource,
      () => parseOptions(grpoConfigSchema, args),
      () => parsePeftConfig(peftConfig),
      () => parseHealthRules(rules),
    );
    generationSizes(config);
    lossSettings(config);
    refuseWeights(config, rewards);
    const functions = { formattingFunc, sampler, rolloutFunc, lrScheduler };
    const fromProgram = [
      "rewardFuncs",
      ...Object.entries(functions).flatMap(([name, value]) => (value === null ? [] : [name])),
      ...(callbacks.some((callback) => typeof callback === "object") ? ["callbacks"] : []),
    ];
    const ofRun = { args: config, lrScheduler, healthRules, fromProgram };
    const inputs = { model: base, trainDataset: train, evalDataset: null, ...ofRun };
    super(
      grpoRecipe({ rewards, formattingFunc, sampler, rolloutFunc }),
      { ...inputs, peft: trainable(peft, config) },
      callbacks,
    );
  }
}

function refuseWeights({ rewardWeights }: ParsedGRPOConfig, rewards: readonly RewardObject[]): void {
  if (rewardWeights === null || rewardWeights.length === rewards.length) return;
  throw new OptionError(
    `[rewardWeights] expected ${plural(rewards.length, "number")}, one per reward function (${rewards.map(({ name }) => name).join(", ")}), got ${rewardWeights.length}; give as many`,
  );
}

/** The adapter that is trained, without dropout where that is asked for. */
function trainable(peft: ParsedLoraConfig, { disableDropout }: ParsedGRPOConfig): ParsedLoraConfig {
  if (peft.fullFinetuning || !disableDropout || peft.loraDropout === 0) return peft;
  if (peft.adapterPath !== null)
    throw new OptionError(
      `[disableDropout] expected an adapter without dropout to go on with, got loraDropout ${peft.loraDropout}; set disableDropout to false`,
    );
  return { ...peft, loraDropout: 0 };
}
