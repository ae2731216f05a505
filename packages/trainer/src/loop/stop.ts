// A run that ends before its time: what is saved of it, and the error it ends with.
import { AbortError, CallbackError, FileSystemError, isDiskFull } from "@tunesmith/core";
import type { ActiveRun } from "./active-run.ts";
import { save } from "./saving.ts";

/** Saves what can be saved when a run is stopped from outside, and gives the error that the run ends with. */
export async function errorOf(run: ActiveRun, error: unknown): Promise<unknown> {
  const { control, events, folder, savedStep, state } = run;
  const asked = control.signal.aborted && (error === control.signal.reason || (error as Error).name === "AbortError");
  if (isDiskFull(error)) return diskFull(run, error);
  if (!asked && !(error instanceof CallbackError)) return error;
  // A callback that fails must not keep the checkpoint from being written.
  events.silence();
  const { global_step: step } = state;
  // Before the first step there is nothing to lose, and the folder stays free for another start.
  if (step > 0 && step !== savedStep) await save(run);
  if (!asked) return error;
  const how = step > 0 ? `continue with: tunesmith resume ${folder.path}` : "nothing has been trained";
  return new AbortError(`[train] stopped as asked after step ${step} of ${state.max_steps}; ${how}`, { cause: error });
}

function diskFull({ folder: { path }, savedStep }: ActiveRun, cause: Error): FileSystemError {
  const advice =
    savedStep === null
      ? "no checkpoint has been written yet, so free some space, delete this folder and start the run again"
      : `free some space, then: tunesmith resume ${path}`;
  return new FileSystemError(
    `[${path}] expected room for the run's files, got a full disk (${cause.message}); ${advice}`,
    { cause },
  );
}
