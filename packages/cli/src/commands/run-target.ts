// What a command works on: a run folder, or a checkpoint in one, stands for its model and what was trained on it.
import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import {
  expandHome,
  ModelFileError,
  modelConfigSchema,
  type ParsedModelConfig,
  type ParsedTrainingArguments,
  parseOptions,
  recoverFolder,
} from "@tunesmith/core";
import type { TrainerName } from "@tunesmith/trainer";

/** What a command works on. */
export interface Target {
  /** Path, or ORG/NAME of the Hugging Face Hub. */
  model: string;
  /** Revision on the Hub; null for its main branch, and for a path. */
  revision: string | null;
  adapter: string | null;
  /** How the weights were held. */
  weights: ParsedModelConfig;
  /** The run that it is of; null for a model by itself. */
  run: {
    trainer: TrainerName;
    args: ParsedTrainingArguments;
    /** What it began with. */
    base: { model: string; revision: string | null };
  } | null;
}

/**
 * A run folder stands for its model, how that was held, and its result; a `checkpoint-N` folder in it for what was trained up to there.
 * Anything else is a model.
 */
export async function modelOf(runOrModel: string, adapterFlag: string | undefined): Promise<Target> {
  const target = expandHome(runOrModel);
  const adapter = adapterFlag === undefined ? undefined : expandHome(adapterFlag);
  const run = await runOf(target);
  if (run === null)
    return {
      ...{ model: target, revision: null, adapter: adapter ?? null, run: null },
      weights: parseOptions(modelConfigSchema, {}),
    };
  const trained = adapter ?? (await resultOf(run, target));
  const { readRunConfig } = await import("@tunesmith/trainer");
  const config = await readRunConfig(run);
  const { trainer, model, modelRevision: revision, peftConfig, modelConfig: weights, args } = config;
  const of = { weights, run: { trainer, args, base: { model, revision } } };
  // After full fine-tuning the folder holds a whole model.
  return peftConfig.fullFinetuning
    ? {
        ...of,
        weights: { ...weights, addTokens: [], addSpecialTokens: [] },
        model: trained,
        revision: null,
        adapter: null,
      }
    : { ...of, model, revision, adapter: trained };
}

/** The run folder that is meant, by itself or by a checkpoint in it; null for anything else. */
async function runOf(target: string): Promise<string | null> {
  const isRun = (folder: string) => exists(join(folder, "config.resolved.yaml"));
  if (await isRun(target)) return target;
  const parent = dirname(resolve(target));
  return /^checkpoint-\d+$/u.test(basename(resolve(target))) && (await isRun(parent)) ? parent : null;
}

/** Where that lies which was trained: a checkpoint that was named, once it is known to be whole, else the result of the run. */
async function resultOf(run: string, target: string): Promise<string> {
  if (run !== target) {
    const { readCheckpoint } = await import("@tunesmith/trainer");
    return (await readCheckpoint(resolve(target))).path;
  }
  const trained = join(run, "adapter");
  await recoverFolder(trained);
  if (await exists(trained)) return trained;
  throw new ModelFileError(
    "FILE_MISSING",
    `[${trained}] expected the result of a finished run, got nothing; finish it with: tunesmith resume ${run}, or give one of its checkpoint folders`,
  );
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
