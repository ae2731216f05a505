// Brings a run to where its folder is made: options, rows, the checkpoint to go on from, memory. A dry run ends here.
import { type MemoryPlan, OptionError, type PassShape, withConversationOptions } from "@tunesmith/core";
import { beyondEmbedding, promptsOfItems, promptsOfTexts, type SamplePrompt } from "@tunesmith/data";
import { withBesides } from "../memory/beside-training.ts";
import { decideCheckpointing, type MemoryEstimate } from "../memory/estimate.ts";
import { checkMemory } from "../memory/shortage.ts";
import { idleOptions } from "../options/idle-options.ts";
import type { Resolved, Settled } from "../options/resolved.ts";
import { answersPrompts } from "../options/sampling.ts";
import { asOptionError, sessionOptions } from "../options/session-options.ts";
import { exchangeTokenizer } from "../options/tokenizer-options.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { type DiskNeed, diskNeed, spaceShortage } from "./disk-space.ts";
import { doubtfulSchedule } from "./doubtful-rates.ts";
import type { OnPreparing } from "./preparing.ts";
import { newestCheckpoint, readCheckpoint } from "./read-checkpoint.ts";
import type { PreparedRun, Recipe, RunInputs } from "./recipe.ts";
import { refuseNothingToResume } from "./run-folder.ts";
import { type Schedule, scheduleOf } from "./schedule.ts";
import type { BestMetric } from "./settle.ts";
import { fitTokenBudget } from "./token-budget.ts";

/** Held-out rows that are watched when `samplePrompts` names none. */
const defaultSamples = 3;

/** All that is known of a run before its files are opened and a weight is read. */
export interface ReadyRun {
  recipe: Recipe;
  inputs: RunInputs;
  prepared: PreparedRun;
  args: Resolved;
  /** What decides which evaluation is best. */
  best: BestMetric;
  /** As given to `train`. */
  resume: boolean | string;
  /** When the run was first started, in seconds since 1970: the present moment of its chat template. */
  startedAt: number;
  schedule: Schedule;
  /** Prompts to answer during training. */
  prompts: SamplePrompt[];
  /** The checkpoint it goes on from; null where it begins from the start. */
  checkpoint: Checkpoint | null;
  /** Null where `memoryCheck` is off. */
  memory: MemoryEstimate | null;
  /** What the engine will hold. */
  memoryPlan: MemoryPlan;
  /** What it will write. */
  disk: DiskNeed;
  /** What the user should know, found on the way. */
  warnings: string[];
}

/** How a run is begun: what options alone decide. */
export interface RunStart {
  args: Settled;
  best: BestMetric;
  /** As given to `train`. */
  resume: boolean | string;
}

/** Everything before the files of a run are opened, the cheap parts first. */
export async function prepareRun(
  recipe: Recipe,
  given: RunInputs,
  { args: asked, best, resume }: RunStart,
  { signal, onPreparing }: { signal: AbortSignal; onPreparing: OnPreparing },
): Promise<ReadyRun> {
  const { model, args: settled } = await exchangeTokenizer(given.model, asked);
  const inputs = { ...given, model };
  const warnings = [...model.info.warnings];
  const checkpoint = await findCheckpoint(resume, settled.outputDir, warnings);
  const startedAt = checkpoint?.trainer.started_at ?? Math.floor(Date.now() / 1000);
  const tokenizer = withConversationOptions(model.tokenizer, { moment: startedAt });
  const begin = async (args: Settled) => {
    const keepHeldOut = Object.keys(inputs.metrics ?? {}).length > 0 ? Number.MAX_SAFE_INTEGER : defaultSamples;
    const prepared = await recipe.prepare({ ...inputs, keepHeldOut, onPreparing, tokenizer, args }, signal);
    try {
      const known = { recipe, inputs, prepared, best, resume, startedAt, checkpoint };
      return await plan(known, [...warnings, ...prepared.warnings], signal);
    } catch (error) {
      await prepared.close?.();
      throw error;
    }
  };
  return fitTokenBudget(settled, checkpoint, begin);
}

/** What is decided of a run once its rows are known: prompts, learning rates, memory, room on the disk. */
async function plan(
  known: Pick<ReadyRun, "recipe" | "inputs" | "prepared" | "best" | "resume" | "startedAt" | "checkpoint">,
  warnings: string[],
  signal: AbortSignal,
): Promise<ReadyRun> {
  const { recipe, inputs, prepared, resume, checkpoint } = known;
  const { callbacks = [], peft } = inputs;
  const { evalOnStart, evalStrategy } = prepared.args;
  const evaluates = evalStrategy !== "no" || evalOnStart || callbacks.length > 0;
  const evaluation = evaluates ? ((await prepared.evaluationPass?.()) ?? null) : null;
  const model = withBesides(inputs.model, { frozenCopy: prepared.frozenCopy !== undefined, evaluation });
  const prompts = await samplePrompts(prepared, inputs, warnings);
  const pass = await prepared.largestPass(checkpoint?.trainer.global_step ?? 0);
  const gradientCheckpointing = await recomputation({ ...inputs, model }, prepared.args, pass, checkpoint).catch(
    asOptionError,
  );
  if (prepared.args.gradientCheckpointing === "auto" && gradientCheckpointing)
    warnings.push(
      "gradientCheckpointing auto: layers are computed again in backward, since the run would not fit without",
    );
  const args = { ...prepared.args, gradientCheckpointing };
  const schedule = scheduleOf(args, prepared.batches.totalSteps);
  // A run that goes on has said it before.
  if (resume === false) warnings.push(...doubts(recipe, inputs), ...doubtfulSchedule(args, schedule));
  signal.throwIfAborted();
  const check = await checkMemory(model, sessionOptions(args, peft), pass, args.memoryCheck).catch(asOptionError);
  if (check !== null && check.warning !== null) warnings.push(check.warning);
  const memory = check?.estimate ?? null;
  const memoryPlan =
    memory?.plan ?? (await model.estimateMemory(sessionOptions(args, peft), pass).catch(asOptionError));
  const disk = await diskNeed(args, memoryPlan, prepared.batches, checkpoint?.trainer.global_step ?? 0);
  const shortage = spaceShortage(args, disk);
  if (shortage !== null) warnings.push(shortage);
  return { ...known, args, schedule, prompts, memory, memoryPlan, disk, warnings };
}

function doubts(
  { schema }: Recipe,
  { args, callbacks = [], evalDataset, fromProgram = [], model, peft }: RunInputs,
): string[] {
  const hasEvaluation = evalDataset !== null;
  const hasCallbacks = callbacks.length > 0;
  const weights = model.weightOptions;
  return idleOptions({ args, peft, weights, hasEvaluation, hasCallbacks, fromProgram }, schema);
}

async function samplePrompts(
  { args, heldOut, tokenizer }: PreparedRun,
  { callbacks = [], model }: RunInputs,
  warnings: string[],
): Promise<SamplePrompt[]> {
  // Callbacks may ask for samples.
  if (!answersPrompts(args) && callbacks.length === 0) return [];
  const items = heldOut(null).slice(0, defaultSamples);
  const prompts =
    args.samplePrompts === null
      ? await promptsOfItems(
          items.map(({ item }) => item),
          tokenizer,
        )
      : await promptsOfTexts(args.samplePrompts, tokenizer);
  for (const { ids } of prompts) {
    const beyond = beyondEmbedding(ids, model.info.vocabSize, tokenizer);
    if (beyond !== null) throw new OptionError(`[samplePrompts] ${beyond}`);
  }
  if (prompts.length === 0 && answersPrompts(args))
    warnings.push(
      "prompts are to be answered during the run, but there is none: give samplePrompts, or an evaluation set of conversations or prompts",
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
  const newest = await newestCheckpoint(outputDir, (message) => warnings.push(message));
  if (newest !== null) return newest;
  await refuseNothingToResume(outputDir);
  warnings.push(`${outputDir}: the run was stopped before its first checkpoint, so it begins from the start`);
  return null;
}

/** What the options say, or `"auto"` comes to: decided once per run, so a checkpoint's answer stands. */
async function recomputation(
  { model, peft }: RunInputs,
  args: Settled,
  pass: PassShape,
  checkpoint: Checkpoint | null,
): Promise<boolean> {
  const decided = checkpoint?.trainer.config.gradientCheckpointing;
  if (args.gradientCheckpointing === "auto" && typeof decided === "boolean") return decided;
  return decideCheckpointing(model, args, peft, pass);
}
