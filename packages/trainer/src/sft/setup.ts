// Brings a run to its first step, the cheap and fallible parts first.
import { dirname, resolve } from "node:path";
import {
  CheckpointError,
  type LanguageModel,
  OptionError,
  type ParsedLoraConfig,
  type ParsedSFTConfig,
  type PassShape,
  type ResolvedConfig,
  remove,
  type TrainSession,
  TunesmithError,
} from "@tunesmith/core";
import { createSampler, recommendEpochs } from "@tunesmith/curriculum";
import {
  type DatasetSource,
  type PreparedData,
  prepare,
  promptsOfItems,
  promptsOfTexts,
  type SamplePrompt,
} from "@tunesmith/data";
import { type Checkpoint, newestCheckpoint, readCheckpoint } from "../loop/checkpoint.ts";
import { describeEnvironment, digestModel } from "../loop/environment.ts";
import { TrainingPlan } from "../loop/plan.ts";
import { defaultOutputDir, RunFolder } from "../loop/run-folder.ts";
import { decisiveConfig, emptyState, type TrainerState } from "../loop/state.ts";
import { checkMemory, decideCheckpointing, largestPass } from "../memory/memory-check.ts";
import { sessionOptions } from "../options/session-options.ts";

/** What a trainer was given, checked. */
export interface TrainingInputs {
  model: LanguageModel;
  trainDataset: DatasetSource;
  evalDataset: DatasetSource | null;
  args: ParsedSFTConfig;
  peft: ParsedLoraConfig;
}

/** Everything a run needs before its first step. */
export interface Setup {
  args: ResolvedConfig;
  train: PreparedData;
  evaluation: PreparedData | null;
  prompts: SamplePrompt[];
  plan: TrainingPlan;
  folder: RunFolder;
  session: TrainSession;
  state: TrainerState;
  /** True when the state came out of a checkpoint. */
  resumed: boolean;
  /** What the user should know, found on the way. */
  warnings: string[];
}

/** Options whose recomputation is still to be decided. */
type SettledConfig = Omit<ResolvedConfig, "gradientCheckpointing"> & Pick<ParsedSFTConfig, "gradientCheckpointing">;

/** Held-out rows that are watched when `samplePrompts` names none. */
const defaultSamples = 3;

/**
 * Brings a run to its first step, the cheap and fallible parts first: data, then the checkpoint to go on from, then the run
 * folder, and the weights last.
 */
export async function setUp(inputs: TrainingInputs, resume: boolean | string, signal: AbortSignal): Promise<Setup> {
  const { model, peft } = inputs;
  const warnings: string[] = [];
  // Takes seconds for a large model, so it goes on beside the tokenising. Awaited below, where an error is thrown.
  const digest = digestModel(model.info.path);
  digest.catch(() => {});
  const parsed = withinContext(inputs.args, model, warnings);
  const train = await prepareData(inputs.trainDataset, "trainDataset", model, parsed, 0, signal);
  const evaluation =
    inputs.evalDataset === null
      ? null
      : await prepareData(inputs.evalDataset, "evalDataset", model, parsed, defaultSamples, signal);
  const settled = settle(inputs, parsed, evaluation !== null, resume);
  const sampler = createSampler({
    strategy: settled.trainSamplingStrategy,
    lengths: train.examples.map((example) => example.length),
    seed: settled.seed,
    simpleMaxLength: settled.simpleMaxLength,
  });
  warnings.push(...sampler.warnings, ...dataWarnings(train), ...(evaluation === null ? [] : dataWarnings(evaluation)));
  const plan = new TrainingPlan({
    sampler,
    batchSize: settled.perDeviceTrainBatchSize,
    accumulation: settled.gradientAccumulationSteps,
    numTrainEpochs: settled.numTrainEpochs,
    maxSteps: settled.maxSteps,
  });
  if (settled.maxSteps <= 0) warnings.push(...epochWarnings(settled.numTrainEpochs, train.examples.length));
  const prompts = await samplePrompts(settled, evaluation, model, warnings);

  const modelSha256 = await digest;
  const checkpoint = await findCheckpoint(resume, settled.outputDir, warnings);
  const pass = largestPass(plan.steps(checkpoint?.trainer.global_step ?? 0), train.examples, settled.tokenBudget);
  const gradientCheckpointing = await recomputation(model, settled, peft, pass, checkpoint).catch(asOptionError);
  const args: ResolvedConfig = { ...settled, gradientCheckpointing };
  if (settled.gradientCheckpointing === "auto" && gradientCheckpointing)
    warnings.push(
      "gradientCheckpointing auto: layers are computed again in backward, since the run would not fit without",
    );
  const identity = { modelType: model.info.modelType, sha256: modelSha256, weights: model.weightOptions };
  const config = decisiveConfig(args, peft, identity);
  if (checkpoint !== null) refuseDrift(checkpoint, config, train.fingerprint);
  const state =
    checkpoint === null
      ? emptyState(plan.totalSteps, config)
      : { ...checkpoint.trainer, max_steps: plan.totalSteps, config };

  const folder = await RunFolder.open(
    args.outputDir,
    checkpoint === null ? null : { metrics: state.metrics_bytes, samples: state.samples_bytes },
  );
  try {
    await folder.writeConfig(
      resolve(model.info.path),
      pathOf(inputs.trainDataset),
      pathOf(inputs.evalDataset),
      args,
      peft,
      model.weightOptions,
    );
    signal.throwIfAborted();
    const warning = await checkMemory(model, sessionOptions(args, peft), pass, args.memoryCheck).catch(asOptionError);
    if (warning !== null) warnings.push(warning);
    const session = await openSession(model, args, peft, checkpoint);
    warnings.push(...session.info.warnings);
    try {
      const fingerprints = { train: train.fingerprint, eval: evaluation?.fingerprint ?? null };
      await folder.writeJson(
        "env.json",
        await describeEnvironment(model.info, modelSha256, session.info, fingerprints),
      );
    } catch (error) {
      session.dispose();
      throw error;
    }
    return { args, train, evaluation, prompts, plan, folder, session, state, resumed: checkpoint !== null, warnings };
  } catch (error) {
    await folder.close();
    if (folder.isNew) await remove(folder.path);
    throw error;
  }
}

/** Rows longer than the model's context would leave the positions it was trained on. */
function withinContext(args: ParsedSFTConfig, { info }: LanguageModel, warnings: string[]): ParsedSFTConfig {
  const context = info.maxPositionEmbeddings;
  if (args.maxLength !== null && args.maxLength <= context) return args;
  if (args.maxLength !== null)
    warnings.push(`maxLength ${args.maxLength} is beyond the model's context of ${context} tokens; ${context} is used`);
  return { ...args, maxLength: context };
}

async function prepareData(
  source: DatasetSource,
  name: string,
  model: LanguageModel,
  args: ParsedSFTConfig,
  keepItems: number,
  signal: AbortSignal,
): Promise<PreparedData> {
  const { datasetFormat, datasetTextField, maxLength, assistantOnlyLoss, completionOnlyLoss } = args;
  return prepare(source, model.tokenizer, {
    name,
    datasetFormat,
    datasetTextField,
    maxLength,
    assistantOnlyLoss,
    completionOnlyLoss,
    keepItems,
    signal,
  });
}

/** Defaults that depend on other options or on the data. */
function settle(
  { model, peft }: TrainingInputs,
  args: ParsedSFTConfig,
  hasEvaluation: boolean,
  resume: boolean | string,
): SettledConfig {
  if (args.evalStrategy !== null && args.evalStrategy !== "no" && !hasEvaluation) {
    throw new OptionError(
      `[evalStrategy] expected an evaluation set for "${args.evalStrategy}", got none; give evalDataset or leave the option out`,
    );
  }
  if (
    (args.loadBestModelAtEnd || args.earlyStoppingPatience !== null) &&
    (!hasEvaluation || args.evalStrategy === "no")
  ) {
    const option = args.loadBestModelAtEnd ? "loadBestModelAtEnd" : "earlyStoppingPatience";
    throw new OptionError(
      `[${option}] expected evaluations to compare, got none; give evalDataset and an evalStrategy other than "no"`,
    );
  }
  const automatic = args.evalSteps === null ? "epoch" : "steps";
  const resumedDir = typeof resume === "string" ? dirname(resume) : null;
  if (resume === true && args.outputDir === null)
    throw new OptionError("[outputDir] expected the run folder to continue, got none; give outputDir");
  return {
    ...args,
    outputDir: args.outputDir ?? resumedDir ?? defaultOutputDir(args.runName, model.info.path, new Date()),
    learningRate: args.learningRate ?? (peft.fullFinetuning ? 2e-5 : 2e-4),
    maxGradNorm: args.maxGradNorm === 0 ? null : args.maxGradNorm,
    evalStrategy: hasEvaluation ? (args.evalStrategy ?? automatic) : "no",
    evalSteps: args.evalSteps ?? args.loggingSteps,
  };
}

/** What the options say, or `"auto"` comes to: decided once per run, so a checkpoint's answer stands. */
async function recomputation(
  model: LanguageModel,
  args: SettledConfig,
  peft: ParsedLoraConfig,
  pass: PassShape,
  checkpoint: Checkpoint | null,
): Promise<boolean> {
  const decided = checkpoint?.trainer.config.gradientCheckpointing;
  if (args.gradientCheckpointing === "auto" && typeof decided === "boolean") return decided;
  return decideCheckpointing(model, args, peft, pass);
}

async function samplePrompts(
  args: SettledConfig,
  evaluation: PreparedData | null,
  model: LanguageModel,
  warnings: string[],
): Promise<SamplePrompt[]> {
  if (args.sampleEverySteps === null) return [];
  const prompts =
    args.samplePrompts === null
      ? await promptsOfItems(evaluation?.items ?? [], model.tokenizer)
      : await promptsOfTexts(args.samplePrompts, model.tokenizer);
  if (prompts.length === 0)
    warnings.push(
      "sampleEverySteps is set, but there is no prompt: give samplePrompts, or an evaluation set of conversations or prompts",
    );
  return prompts;
}

async function findCheckpoint(
  resume: boolean | string,
  outputDir: string,
  warnings: string[],
): Promise<Checkpoint | null> {
  if (resume === false) return null;
  if (typeof resume === "string") return readCheckpoint(resume);
  return newestCheckpoint(outputDir, (message) => warnings.push(message));
}

/** A run goes on only with the options and the data it began with. */
function refuseDrift({ path, trainer, data }: Checkpoint, config: Record<string, unknown>, fingerprint: string): void {
  const keys = [...new Set([...Object.keys(config), ...Object.keys(trainer.config)])];
  const text = (value: unknown) => JSON.stringify(value ?? null);
  const drift = keys.filter((key) => text(config[key]) !== text(trainer.config[key]));
  const changes = drift.map((key) => `${key} (was ${text(trainer.config[key])}, is ${text(config[key])})`);
  if (data.fingerprint !== fingerprint) changes.push("the training data");
  if (changes.length === 0) return;
  throw new CheckpointError(
    `[${path}] expected the options the run began with, but these differ: ${changes.join(", ")}; set them back, or start a new run`,
  );
}

/** Every argument of a session is an option of the user's. */
function asOptionError(error: unknown): never {
  if (TunesmithError.isInstance(error) && error.code === "ARGUMENT_INVALID")
    throw new OptionError(error.message, { cause: error });
  throw error;
}

async function openSession(
  model: LanguageModel,
  args: ResolvedConfig,
  peft: ParsedLoraConfig,
  checkpoint: Checkpoint | null,
): Promise<TrainSession> {
  const session = await model.createSession(sessionOptions(args, peft)).catch(asOptionError);
  if (checkpoint === null) return session;
  try {
    await session.loadCheckpoint(checkpoint.path);
    return session;
  } catch (error) {
    session.dispose();
    throw error;
  }
}

function dataWarnings({ report }: PreparedData): string[] {
  const warnings: string[] = [];
  const { source, rows, dropped, truncated, truncatedReplies, prefixMismatches, duplicates } = report;
  if (dropped.length > 0) {
    const lines = dropped
      .slice(0, 10)
      .map(({ line }) => line)
      .join(", ");
    warnings.push(
      `${source}: ${dropped.length} of ${rows} rows are left out (lines ${lines}${dropped.length > 10 ? ", …" : ""}): ${dropped[0]?.reason}`,
    );
  }
  if (truncated > 0)
    warnings.push(
      `${source}: ${truncated} of ${rows} rows are longer than maxLength and were cut; ${truncatedReplies} of them lost trained tokens`,
    );
  if (prefixMismatches > 0)
    warnings.push(
      `${source}: in ${prefixMismatches} rows one token spans the end of the prompt; end prompts where a word ends`,
    );
  if (duplicates > 0) warnings.push(`${source}: exact duplicates of earlier rows: ${duplicates} of ${rows}`);
  return warnings;
}

/** Far more passes than a data set of this size needs teach its rows by heart. */
function epochWarnings(epochs: number, rows: number): string[] {
  const { min, max } = recommendEpochs(rows);
  if (epochs <= 2 * max) return [];
  const usual = min === max ? `${max}` : `${min}–${max}`;
  return [
    `numTrainEpochs ${epochs} is far above the ${usual} that ${rows} rows usually take ` +
      "(rows: epochs; 100–1K: 3–5, 1K–10K: 1–3, 10K–100K: 1, 100K+: 0.5–1); watch for overfitting with an evaluation set, or lower it",
  ];
}

/** Absolute, so that a run can be continued from any folder; null for rows given in memory. */
function pathOf(source: DatasetSource | null): string | null {
  return typeof source === "string" ? resolve(source) : null;
}
