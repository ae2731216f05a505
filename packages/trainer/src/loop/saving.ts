// When checkpoints are written, and what goes into them.
import { NonFiniteError } from "@tunesmith/core";
import type { ActiveRun } from "./active-run.ts";
import type { StepPlace } from "./batch-sampler.ts";
import { choosesBest } from "./best-checkpoint.ts";
import { writeCheckpoint } from "./checkpoint.ts";
import { saveStates } from "./hooks/callback-states.ts";
import { lastGood } from "./non-finite.ts";
import { isOver } from "./phases.ts";
import type { DataState, TrainerState } from "./state.ts";
import { attempt } from "./writing.ts";

/** Writes a checkpoint where one is due after a step. */
export async function saveIfDue(run: ActiveRun, batches: StepPlace, isBest: boolean): Promise<void> {
  const { args, savedStep, state } = run;
  // Before the first step there is nothing to keep: what was asked for then is done after it.
  if (batches.step === 0) return;
  const scheduled = isScheduled(run, batches);
  const isDue = scheduled || (isBest && choosesBest(args));
  state.asked.save = false;
  if (batches.step === savedStep) {
    // It was written when the run was stopped, and callbacks have not been told of it.
    if (isDue && !state.checkpoint_told) await tellAgain(run);
  } else if (isDue) await attempt(run, `the checkpoint of step ${batches.step}`, () => save(run, !scheduled));
}

/** Tells callbacks of the checkpoint that the run goes on from: what they decide by it is not in there. */
export async function tellAgain({ checkpoint, events, state }: ActiveRun): Promise<void> {
  if (checkpoint !== null) await events.tell({ type: "checkpoint", step: state.global_step, path: checkpoint.path });
}

function isScheduled({ args, state }: ActiveRun, { step, endsEpoch }: StepPlace): boolean {
  if (state.asked.save) return true;
  if (args.saveStrategy === "no") return false;
  if (isOver(state, args)) return true;
  if (args.saveStrategy === "end") return false;
  return args.saveStrategy === "epoch" ? endsEpoch : step % args.saveSteps === 0;
}

/**
 * Writes a checkpoint of the run as it is now.
 *
 * @param onlyBest whether the next best one takes its place
 */
export async function save(run: ActiveRun, onlyBest = false): Promise<void> {
  const { args, claim, clock, events, folder, inputs, limits, prepared, session, state } = run;
  await claim.confirm();
  await folder.metrics.sync();
  await folder.samples.sync();
  state.metrics_bytes = folder.metrics.size;
  state.samples_bytes = folder.samples.size;
  state.seconds = clock.seconds();
  state.checkpoint_told = !events.isSilent;
  const next = onceSaved(state, onlyBest);
  const parts = {
    trainer: { ...state, ...next },
    data: dataState(run),
    recipe: await prepared.state?.save(state.global_step),
    // Of a run that ends anyway the rest is kept.
    callbacks: await saveStates(inputs.callbacks ?? [], limits, events.isSilent ? () => {} : undefined),
  };
  const isReturnedTo = args.loadBestModelAtEnd && state.best.bestStep === state.global_step;
  const modelOnly = args.saveOnlyModel && !isReturnedTo;
  const writeWeights = (dir: string) => session.saveCheckpoint(dir);
  const path = await writeCheckpoint(folder.path, parts, writeWeights, modelOnly).catch((error: unknown) =>
    nameLastGood(error, run),
  );
  run.savedStep = state.global_step;
  Object.assign(state, next);
  await events.emit({ type: "checkpoint", step: state.global_step, path });
}

/** Weights that are not finite are never written; the error says where to go on from. */
async function nameLastGood(error: unknown, { folder, state }: ActiveRun): Promise<never> {
  if (!NonFiniteError.isInstance(error) || error.code !== "NON_FINITE") throw error;
  const good = await lastGood(folder.path, state.global_step);
  throw new NonFiniteError(`${error.message}; ${good}; lower learningRate`, { cause: error });
}

/** What the state says of checkpoints once this one is there. */
function onceSaved(
  { best, best_only: before, global_step: step }: TrainerState,
  onlyBest: boolean,
): Pick<TrainerState, "best" | "best_only"> {
  const keptStep = best.bestStep === step ? step : best.keptStep;
  // Of a run that goes over the same steps again, the checkpoint of a step may have been written for another reason.
  const others = before.filter((one) => one < step);
  return { best: { ...best, keptStep }, best_only: onlyBest ? [...others, step] : others };
}

function dataState({ args, prepared, state }: ActiveRun): DataState {
  const { trainSamplingStrategy: strategy, simpleMaxLength } = args;
  const seed = args.dataSeed ?? args.seed;
  const { fingerprint, report } = prepared.train;
  return {
    fingerprint,
    examples: report.kept,
    sampler: { strategy, seed, simpleMaxLength },
    epoch: state.epoch,
    global_step: state.global_step,
  };
}
