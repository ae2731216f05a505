// The checkpoint of the best evaluation: when one is written for it, what a resumed run knows of it, and the way back to it.
import { join } from "node:path";
import { CheckpointError, type ParsedTrainingArguments } from "@tunesmith/core";
import type { ActiveRun } from "./active-run.ts";
import { type Checkpoint, checkpointName } from "./checkpoint.ts";
import { emptyBest } from "./early-stopping.ts";
import { readCheckpoint } from "./read-checkpoint.ts";
import type { ReadyRun } from "./ready-run.ts";
import type { TrainerState } from "./state.ts";

/** Whether the metric chooses something, so that every best evaluation gets a checkpoint. */
export function choosesBest({
  loadBestModelAtEnd,
  earlyStoppingPatience,
}: Pick<ParsedTrainingArguments, "loadBestModelAtEnd" | "earlyStoppingPatience">): boolean {
  return loadBestModelAtEnd || earlyStoppingPatience !== null;
}

/**
 * Looks, before anything is trained, at what a resumed run knows of its best. A value by another metric or on other rows compares with
 * nothing, and a checkpoint that is gone or damaged cannot be gone back to: the search then starts again. Gives what the user should know.
 *
 * @param state of the checkpoint that is gone on from; changed
 */
export async function carryBest(
  { args, prepared }: Pick<ReadyRun, "args" | "prepared">,
  { path, trainer }: Checkpoint,
  state: TrainerState,
): Promise<string[]> {
  const { metric, evaluation, keptStep } = state.best;
  const now = { metric: args.metricForBestModel, evaluation: prepared.evaluation?.fingerprint ?? null };
  const again = "the best evaluation is searched for again from here on";
  if (evaluation !== null && evaluation !== now.evaluation) {
    Object.assign(state, { eval_before: null, eval_last: null, recent: [] });
    return startAgain(state, `the evaluation set is not the one that the run began with; ${again}`);
  }
  if (metric !== null && metric !== now.metric)
    return startAgain(state, `metricForBestModel was ${metric} and is ${now.metric}; ${again}`);
  if (keptStep === null || (keptStep === trainer.global_step && path === pathOf(args.outputDir, keptStep))) return [];
  const lost = await damageOf(pathOf(args.outputDir, keptStep));
  return lost === null ? [] : startAgain(state, `the best checkpoint cannot be used: ${lost}; ${again}`);
}

function startAgain(state: TrainerState, warning: string): string[] {
  Object.assign(state, { best: emptyBest(), eval_best: null });
  return [warning];
}

/**
 * Goes back to the weights of the best evaluation, checked again: a damaged checkpoint is never loaded, the run then ends with the weights
 * it has. Gives the step whose weights the session holds as the best; null where they are not the best.
 */
export async function loadBest({ events, folder, session, state }: ActiveRun): Promise<number | null> {
  const { bestStep, keptStep } = state.best;
  if (bestStep === null || bestStep === state.global_step) return bestStep;
  const path = pathOf(folder.path, bestStep);
  const damage = bestStep === keptStep ? await damageOf(path) : `[${path}] it could not be written`;
  if (damage === null) {
    await session.loadCheckpoint(path);
    return bestStep;
  }
  await events.warn(
    state.global_step,
    `the best checkpoint cannot be loaded, so the run ends with the weights of its last step: ${damage}`,
  );
  return null;
}

function pathOf(runDir: string, step: number): string {
  return join(runDir, checkpointName(step));
}

/** What is wrong with a checkpoint; null where it is whole. */
async function damageOf(path: string): Promise<string | null> {
  try {
    await readCheckpoint(path);
    return null;
  } catch (error) {
    if (!CheckpointError.isInstance(error) || error.code !== "CHECKPOINT_INVALID") throw error;
    return error.message;
  }
}
