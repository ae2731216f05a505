// Which checkpoints go: those beyond the limit, and those that were the best once and are no longer.
import { join } from "node:path";
import { removeFolder } from "@tunesmith/core";
import type { ActiveRun } from "./active-run.ts";
import { checkpointName, listCheckpoints } from "./checkpoint.ts";

/** What decides which checkpoints go. */
export interface Rotation {
  /** Checkpoints that stay besides the best one; null: all. */
  limit: number | null;
  /** Step of the best one; null without one. */
  best: number | null;
  /** Step of the newest one, written or read; it stays. */
  newest: number | null;
  /** Steps of those that were written only for being the best. */
  bestOnly: readonly number[];
}

/** Steps whose checkpoints go, of those that are there in ascending order. */
export function superfluous(steps: readonly number[], { limit, best, newest, bestOnly }: Rotation): number[] {
  const stays = (step: number) => step === best || step === newest;
  const outdone = (step: number) => best !== null && bestOnly.includes(step) && !stays(step);
  const counted = steps.filter((step) => step !== best && !outdone(step));
  const beyond = limit === null ? [] : counted.slice(0, Math.max(0, counted.length - limit));
  return steps.filter((step) => outdone(step) || (beyond.includes(step) && !stays(step)));
}

/**
 * Deletes what is superfluous, the oldest first, once the newest has given a finite step: weights that have grown beyond all bounds show
 * only then, and the one before is good. Checkpoints of later steps are of a run that went further once; they count for nothing
 * and stay until the run comes to their step: where they are damaged, they must not push out the good ones.
 */
export async function deleteOldCheckpoints(run: ActiveRun): Promise<void> {
  const { args, folder, savedStep, state } = run;
  if (savedStep === run.tidiedStep) return;
  const steps = (await listCheckpoints(folder.path)).filter((step) => step <= state.global_step);
  const { keptStep: best } = state.best;
  const rotation = { limit: args.saveTotalLimit, best, newest: savedStep, bestOnly: state.best_only };
  for (const step of superfluous(steps, rotation)) await removeFolder(join(folder.path, checkpointName(step)));
  run.tidiedStep = savedStep;
}
