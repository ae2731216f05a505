// Supervised fine-tuning, from what a user gives to a trainer.
import {
  type LanguageModel,
  type LoraConfig,
  OptionError,
  type OptionKeys,
  onlyGiven,
  type ParsedSFTConfig,
  parseKeys,
  parseOptions,
  type SFTConfig,
  sftConfigSchema,
  together,
} from "@tunesmith/core";
import type { SamplerFactory } from "@tunesmith/curriculum";
import { collate, type DatasetSource, type FormattingFunc, splitDataset } from "@tunesmith/data";
import type { HealthRule } from "../health/rule.ts";
import { parseHealthRules } from "../health/rules.ts";
import type { TrainCallback } from "../loop/hooks/callback.ts";
import type { MetricFunctions } from "../loop/hooks/own-metrics.ts";
import type { LrScheduler } from "../loop/lr-scheduler.ts";
import { Trainer } from "../loop/trainer.ts";
import { type EvalDatasets, parseEvalDatasets } from "../options/eval-sets.ts";
import { parseDataset, parseModel } from "../options/inputs.ts";
import { parsePeftConfig } from "../options/peft-config.ts";
import { withPreset } from "../options/preset.ts";
import type { DataCollator } from "./collator.ts";
import { type ComputeLossFunc, parseComputeLossFunc } from "./compute-loss.ts";
import type { SFTMetrics } from "./metrics.ts";
import { sftRecipe } from "./recipe.ts";
import { advisedOptions } from "./recommend.ts";
import {
  checkResponses,
  type ResponsesOnlyOptions,
  type ResponsesTrainer,
  responsesOnlyKeys,
} from "./responses-only.ts";
import { withStreaming } from "./streaming-options.ts";

/** What an {@link SFTTrainer} is made of. */
export interface SFTTrainerOptions {
  model: LanguageModel;
  /**
   * A file or folder, a list of files, rows, a function that gives rows, an iterable or stream of them, or a mix of these (see docs/data.md).
   * Functions, iterables and streams are read while they are trained on, as everything is with `streaming`.
   */
  trainDataset: DatasetSource;
  /** Held-out rows, in the same forms; several sets by name, `{ a: …, b: … }`, are evaluated one after another (`eval_a_loss`). */
  evalDataset?: EvalDatasets | null;
  /**
   * Makes of each row, its `columns` renamed, a text or a row of any format; may be async (TRL's formatting_func). One that throws or
   * gives something else is a `DataError` that names the row. Default: rows are read as they are.
   */
  formattingFunc?: FormattingFunc;
  /**
   * Makes the order of the rows out of their lengths and the seed, in place of `trainSamplingStrategy`. A resumed run asks it again, so it
   * must give the same then. Default: none.
   */
  sampler?: SamplerFactory;
  /** Gives the learning rate of each step, in place of `lrSchedulerType`. A resumed run asks it again. Default: none. */
  lrScheduler?: LrScheduler;
  /** Makes the batch of each pass, in training and evaluation (Hugging Face's data_collator). Default: `collate`. */
  dataCollator?: DataCollator;
  /**
   * Gives the loss of each micro-batch and its derivatives by the log-probabilities, in place of `lossType` (Hugging Face's
   * compute_loss_func); `evalLoss` is of it too. See docs/objectives.md. Default: none.
   */
  computeLossFunc?: ComputeLossFunc;
  /** Options of the run. Default: none set. */
  args?: SFTConfig;
  /** The adapter. Default: a new one of rank 16 on every linear layer. */
  peftConfig?: LoraConfig;
  /**
   * Rules of the run's health besides the built-in ones, asked after every step, evaluation and round of samples (docs/health.md). One of
   * their names takes its place. Default: none.
   */
  healthRules?: readonly HealthRule[];
  /** Measured on the rows of each evaluation set where the loss is, by their names: `{ exactMatch: ({ generate, rows }) => … }`. Default: none. */
  metrics?: MetricFunctions;
  /** Functions, or objects with a name and state, that are called with every event, in order, and awaited. Default: none. */
  callbacks?: readonly TrainCallback<SFTMetrics>[];
}

/** Its names; a type cannot tell them at run time. */
export const sftTrainerKeys: OptionKeys<SFTTrainerOptions> = {
  model: "required",
  trainDataset: "required",
  evalDataset: "optional",
  formattingFunc: "optional function",
  sampler: "optional function",
  lrScheduler: "optional function",
  dataCollator: "optional function",
  computeLossFunc: "optional",
  args: "optional",
  peftConfig: "optional",
  healthRules: "optional",
  metrics: "optional object",
  callbacks: "optional list",
};

/** Supervised fine-tuning (TRL's SFTTrainer). Options are checked here, data and files when the run starts. */
export class SFTTrainer extends Trainer<ParsedSFTConfig, SFTMetrics> implements ResponsesTrainer {
  constructor(options: SFTTrainerOptions) {
    const { model, trainDataset, evalDataset = null } = options ?? {};
    const { formattingFunc = null, sampler = null, lrScheduler = null, dataCollator = null } = options ?? {};
    const { computeLossFunc = null, healthRules: rules = [] } = options ?? {};
    const { args: ownArgs = {}, peftConfig: ownPeft = {}, metrics = {}, callbacks = [] } = options ?? {};
    const { args, peftConfig, warnings } = withPreset(ownArgs, ownPeft, model ?? null);
    const [, base, train, held, config, peft, healthRules] = together(
      () => parseKeys(sftTrainerKeys, options, "SFTTrainer"),
      () => (model === undefined ? model : parseModel(model)) as LanguageModel,
      () => (trainDataset === undefined ? trainDataset : parseDataset("trainDataset", trainDataset)) as DatasetSource,
      () => (evalDataset === null ? null : parseEvalDatasets(evalDataset)),
      () => parseOptions(sftConfigSchema, args),
      () => parsePeftConfig(peftConfig),
      () => parseHealthRules(rules),
    );
    const ownLoss = computeLossFunc === null ? null : parseComputeLossFunc(computeLossFunc, peft, config);
    const functions = { formattingFunc, sampler, lrScheduler, dataCollator, computeLossFunc };
    const fromProgram = [
      ...Object.entries(functions).flatMap(([name, given]) => (given === null ? [] : [name])),
      ...(Object.keys(metrics).length > 0 ? ["metrics"] : []),
      ...(callbacks.some((callback) => typeof callback === "object") ? ["callbacks"] : []),
    ];
    const run = withStreaming(config, { trainDataset: train, hasSampler: sampler !== null });
    const given = { args: run, peft, lrScheduler, healthRules, metrics, fromProgram };
    const inputs = { model: base, ...split(train, held, run), ...given };
    const set = Object.keys(onlyGiven(config, args));
    const advised = advisedOptions.filter((name) => !set.includes(name));
    const recipe = { formattingFunc, sampler, dataCollator: dataCollator ?? collate, ownLoss, advised, warnings };
    super(sftRecipe(recipe), inputs, callbacks);
  }

  /** @internal See {@link trainOnResponsesOnly}. */
  onResponsesOnly(options: ResponsesOnlyOptions): void {
    const given = parseKeys(responsesOnlyKeys, options, "trainOnResponsesOnly");
    const { args, model } = this.inputs;
    const { instructionPart, responsePart, lastResponseOnly } = parseOptions(sftConfigSchema, given);
    const change = { trainOnResponsesOnly: true, instructionPart, responsePart, lastResponseOnly };
    // The tokenizer of another template is read when a run starts, and checked then.
    if (args.chatTemplatePath === null) checkResponses({ ...args, ...change }, model.tokenizer);
    this.change(change);
  }
}

/** The data sets of a run, where `testSize` holds out rows of the one to train on. */
function split(trainDataset: DatasetSource, evalDataset: EvalDatasets | null, args: ParsedSFTConfig) {
  const { testSize, splitBy, splitStrategy, seed } = args;
  if (testSize === null) return { trainDataset, evalDataset };
  if (evalDataset !== null)
    throw new OptionError(
      "[testSize] expected rows to evaluate with once, got evalDataset and a share of the training set; leave one out",
    );
  const { train, test } = splitDataset(trainDataset, { testSize, seed, splitBy, splitStrategy });
  return { trainDataset: train, evalDataset: test, splitFrom: trainDataset };
}
