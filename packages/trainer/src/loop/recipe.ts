// What the loop asks of a trainer, and all it asks: how rows become examples, what a step does, how it is evaluated, what it logs.
import type {
  Generator,
  LanguageModel,
  ParsedLoraConfig,
  ParsedTrainingArguments,
  PassShape,
  Schemas,
  Tokenizer,
  TrainSession,
} from "@tunesmith/core";
import type { DataReport, DatasetSource, Example, Item, RowObject } from "@tunesmith/data";
import type { HealthRule } from "../health/rule.ts";
import type { EvalDatasets } from "../options/eval-sets.ts";
import type { Settled } from "../options/resolved.ts";
import type { BatchSampler, StepBatches } from "./batch-sampler.ts";
import type { CompletionsEvent } from "./events.ts";
import type { NamedCallback } from "./hooks/callback.ts";
import type { MetricFunctions } from "./hooks/own-metrics.ts";
import type { LrScheduler } from "./lr-scheduler.ts";
import type { MeasuredOrder } from "./measured-order.ts";
import type { DeclaredMetrics, MetricSums, Metrics } from "./metrics.ts";
import type { OnPreparing } from "./preparing.ts";

/** What a trainer was given, checked. */
export interface RunInputs<Args extends ParsedTrainingArguments = ParsedTrainingArguments> {
  model: LanguageModel;
  trainDataset: DatasetSource;
  evalDataset: EvalDatasets | null;
  args: Args;
  peft: ParsedLoraConfig;
  /** The data set that both were split from. Default: none, they were given as they are. */
  splitFrom?: DatasetSource | null;
  /** Gives the learning rates in place of `lrSchedulerType`. Default: none. */
  lrScheduler?: LrScheduler | null;
  /** Rules of the run's health besides the built-in ones. Default: none. */
  healthRules?: readonly HealthRule[];
  /** Metrics of the program, evaluated where the recipe's own are. Default: none. */
  metrics?: MetricFunctions;
  /** Called with every event. Default: none. */
  callbacks?: readonly NamedCallback[];
  /** Names of what only a program can give, such as functions, where it gave them. Default: none. */
  fromProgram?: readonly string[];
}

/** What a recipe prepares its rows from. */
export interface RecipeInputs<Args extends ParsedTrainingArguments = ParsedTrainingArguments>
  extends RunInputs<Settled<Args>> {
  /** How many of the first rows of each evaluation set are kept as they were read. */
  keepHeldOut: number;
  /** Told how far the rows are. */
  onPreparing: OnPreparing;
  /** The model's tokenizer; what a chat template takes for the present moment is when the run was started. */
  tokenizer: Tokenizer;
}

/** A row of an evaluation set, and what its format has made of it. */
export interface HeldOutRow {
  item: Item;
  fields: RowObject;
}

/** A data set as checkpoints, events and reports know it. */
export interface DataSummary {
  /** What has become of its rows so far. */
  report: DataReport;
  /** SHA-256 of what is trained on: equal fingerprints mean equal data. Null where rows are read while they are trained on. */
  fingerprint: string | null;
}

/**
 * A kind of training. The loop around it has steps, learning rates, log lines, evaluations, samples, early stopping, checkpoints and
 * resume, and knows of the recipe what is declared here.
 */
export interface Recipe<Args extends ParsedTrainingArguments = ParsedTrainingArguments, M extends Metrics = Metrics> {
  /** Name of its trainer in the configuration and the checkpoints of a run. */
  readonly trainer: string;
  /** The metrics that it reports. */
  readonly metrics: DeclaredMetrics<M>;
  /** Its options, those of `TrainingArguments` and its own; it says of each what it decides. */
  readonly schema: Schemas[string];
  /** Rules of the run's health that every run of it has besides those of all runs. Default: none. */
  healthRules?(args: Args): readonly HealthRule[];
  /**
   * Everything before a run folder is made and a weight is read: rows, their order, what the user should know. A dry run ends here.
   * Rejects with what a run would end with, such as `DataError`.
   */
  prepare(inputs: RecipeInputs<Args>, signal: AbortSignal): Promise<PreparedRun<Args, M>>;
}

/** A recipe with its rows. */
export interface PreparedRun<
  Args extends ParsedTrainingArguments = ParsedTrainingArguments,
  M extends Metrics = Metrics,
> {
  /** The options, with what model and data have decided. */
  args: Settled<Args>;
  train: DataSummary;
  /** Null without an evaluation set; of several the report is that of the first, and the fingerprint that of all. */
  evaluation: DataSummary | null;
  /** Of several evaluation sets the report of each, by its name. Default: there is one at most. */
  evalSets?: Readonly<Record<string, DataReport>>;
  /** Which rows each step sees; `epochBatches` makes the usual one. */
  batches: BatchSampler;
  /** How hard the model finds the rows, where their order goes by it. Default: it does not. */
  measured?: MeasuredOrder | undefined;
  /** What prompts go through that are answered during training. */
  tokenizer: Tokenizer;
  /** The first rows of an evaluation set, `keepHeldOut` of them at most: the same list each time. Of several sets null is the first. */
  heldOut(set: string | null): readonly HeldOutRow[];
  warnings: readonly string[];
  /** The largest pass of the steps after the first `done`, for the memory check. */
  largestPass(done: number): PassShape | Promise<PassShape>;
  /** The largest pass of an evaluation, likewise; null without an evaluation set. Default: none is larger than those of the steps. */
  evaluationPass?(): Promise<PassShape | null>;
  /** `source:line` of a row. */
  locate(rowId: number): string;
  /** The sequences of a row of the step in hand, by its index, for looking at them. Default: not shown. */
  sequences?(row: number): readonly Example[];
  /**
   * What is computed of the rows before the weights that are trained are read, such as log-probabilities by a reference. Gives what the user
   * should know of it, and rejects with what the run ends with. Default: nothing.
   */
  beforeSession?(context: BeforeSession): Promise<readonly string[]>;
  /** A frozen copy of the model next to the one that is trained, and the bytes that it has held at the most. Default: there is none. */
  frozenCopy?: { peakBytes(): number } | undefined;
  /** Leaves the summed gradient of one step in the session; the loop updates the weights with it. */
  step(context: StepContext): Promise<StepOutcome<M>>;
  /** Measures the weights as they are on the evaluation set. Throws the signal's reason between two passes. */
  evaluate(context: EvaluationContext): Promise<M["eval"]>;
  /** What it must remember beyond its options and the number of the step, such as rollouts that further steps use. */
  state?: RecipeState | undefined;
  /** Lets go of what it holds open, such as files that are read while they are trained on. Called once, when nothing more is asked of it. */
  close?(): Promise<void>;
}

/** State of a recipe in a checkpoint, as a JSON value. */
export interface RecipeState {
  /** As it is after a step, or a promise of it: the newest that was taken, while the next may have been begun. */
  save(step: number): unknown;
  /** Called before the first step of a resumed run with what `save` gave. What does not fit the run is a `CheckpointError`. */
  load(state: unknown): void | Promise<void>;
}

/** What is known before the weights that are trained are read. */
export interface BeforeSession {
  /** Digest of the model's files; null where that is not known. */
  modelSha256: string | null;
  /** Where the model will be: `cpu` or `cuda`. */
  device: string;
  /** Whether the run goes on from a checkpoint. */
  isResumed: boolean;
  signal: AbortSignal;
}

/** What a step works with. */
export interface StepContext {
  session: TrainSession;
  batches: StepBatches;
}

/** What an evaluation works with. */
export interface EvaluationContext {
  session: Generator;
  signal: AbortSignal;
  /** Name of one of several sets; null where there is one. */
  set: string | null;
}

/** What one micro-batch of a step gives. */
export interface MicroBatchOutcome<M extends Metrics = Metrics> {
  rowIds: readonly number[];
  /** Tokens, prompts included. */
  tokens: number;
  /** Numerator and denominator of every metric. The step's loss is Σ sum / Σ weight of `loss`. */
  metrics: Readonly<Record<keyof M["log"], MetricSums>>;
}

/** What one step gives. */
export interface StepOutcome<M extends Metrics = Metrics> {
  microBatches: readonly MicroBatchOutcome<M>[];
  /** What the summed gradient is divided by; not 0. */
  denominator: number;
  /** Rows whose loss is not finite. */
  badRows: readonly number[];
  /** The rows with the loss of each, of which a loss spike names the highest. Default: not told. */
  rows?: readonly { row: number; loss: number }[];
  /** Tokens of the rows whose embedding holds nothing, by id. Default: none. */
  untrainedTokens?: readonly number[];
  /** What the user should know of the rows, where that shows only now. Default: nothing. */
  warnings?: readonly string[];
  /** What looks wrong and is not, in a line each. Default: nothing. */
  notes?: readonly string[];
  /** Events of the recipe's own, told before that of the step. Default: none. */
  events?: readonly CompletionsEvent[];
}
