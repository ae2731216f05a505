// When checkpoints are written, what goes into them, and which are kept.
import type { ActiveRun } from "./active-run.ts";
import type { StepBatches } from "./batch-sampler.ts";
import { rotateCheckpoints, writeCheckpoint } from "./checkpoint.ts";
import { stopsEarly } from "./early-stopping.ts";
import type { DataState } from "./state.ts";

/** Whether a checkpoint is due after a step. */
export function shouldSave(
  { args, savedStep, state }: ActiveRun,
  { step, endsEpoch }: StepBatches,
  isBest: boolean,
): boolean {
  if (step === 0 || step === savedStep) return false;
  if (isBest && args.loadBestModelAtEnd) return true;
  if (args.saveStrategy === "no") return false;
  if (step === state.max_steps || stopsEarly(state.best, args.earlyStoppingPatience)) return true;
  if (args.saveStrategy === "end") return false;
  return args.saveStrategy === "epoch" ? endsEpoch : step % args.saveSteps === 0;
}

/** Writes a checkpoint of the run as it is now. */
export async function save(run: ActiveRun): Promise<void> {
  const { claim, clock, events, folder, prepared, session, state } = run;
  await claim.confirm();
  await folder.metrics.sync();
  await folder.samples.sync();
  state.metrics_bytes = folder.metrics.size;
  state.samples_bytes = folder.samples.size;
  state.seconds = clock.seconds();
  const parts = { trainer: state, data: dataState(run), recipe: prepared.state?.save() };
  const path = await writeCheckpoint(folder.path, parts, (dir) => session.saveCheckpoint(dir));
  run.savedStep = state.global_step;
  await deleteOldCheckpoints(run);
  await events.emit({ type: "checkpoint", step: state.global_step, path });
}

function dataState({ args, prepared, state }: ActiveRun): DataState {
  const { trainSamplingStrategy: strategy, seed, simpleMaxLength } = args;
  const { fingerprint, report } = prepared.train;
  return {
    fingerprint,
    examples: report.kept,
    sampler: { strategy, seed, simpleMaxLength },
    epoch: state.epoch,
    global_step: state.global_step,
  };
}

/** Deletes checkpoints beyond `saveTotalLimit`. */
export async function deleteOldCheckpoints({ args, folder, state }: ActiveRun): Promise<void> {
  await rotateCheckpoints(folder.path, args.saveTotalLimit, args.loadBestModelAtEnd ? state.best.bestStep : null);
}
