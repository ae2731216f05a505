// A run that ends before its time: what is saved of it, and the error it ends with.
import {
  AbortError,
  CallbackError,
  DataError,
  FileSystemError,
  HealthError,
  isDiskFull,
  isRefused,
  TunesmithError,
} from "@tunesmith/core";
import type { ActiveRun } from "./active-run.ts";
import { howToResume } from "./how-to-resume.ts";
import { save } from "./saving.ts";

/** Saves what can be saved when a run is stopped from outside, by the disk or by a row that is read on the way, and gives the error that the run ends with. */
export async function errorOf(run: ActiveRun, error: unknown): Promise<unknown> {
  const { control, events, folder, inputs, savedStep, state } = run;
  const asked = control.signal.aborted && (error === control.signal.reason || (error as Error).name === "AbortError");
  const refused = isRefused(error);
  const isOfData = TunesmithError.isInstance(error) && error.code === "DATA_INVALID";
  const isHealth = HealthError.isInstance(error) && error.code === "HEALTH_STOPPED";
  if (!asked && !refused && !isOfData && !isHealth && !(error instanceof CallbackError)) return error;
  // A callback that fails must not keep the checkpoint from being written.
  events.silence();
  const { global_step: step } = state;
  // Before the first step there is nothing to lose, and the folder stays free for another start.
  if (step > 0 && step !== savedStep) {
    const failure = await save(run).then(
      () => null,
      (caught: unknown) => caught,
    );
    // Where the disk was what stopped the run, its first word is the one to tell.
    if (failure !== null && !refused && !isOfData) return isRefused(failure) ? unwritten(run, failure) : failure;
  }
  if (refused) return unwritten(run, error);
  if (isOfData) return run.savedStep === null ? error : savedBefore(run, error);
  if (isHealth) return stoppedByHealth(run, error);
  if (!asked) return error;
  const how = step > 0 ? `continue with: ${howToResume(folder.path, inputs)}` : "nothing has been trained";
  return new AbortError(`[train] stopped as asked after step ${step} of ${state.max_steps}; ${how}`, { cause: error });
}

/** Where a run goes on all the same that its health has stopped: what was told once does not stop it again. */
function stoppedByHealth({ folder, inputs, savedStep }: ActiveRun, cause: Error): HealthError {
  const how =
    savedStep === null
      ? 'nothing has been trained; set onHealth to "warn" to train all the same'
      : `the run is saved after step ${savedStep}, continue it all the same with: ${howToResume(folder.path, inputs)}`;
  return new HealthError(`${cause.message}; ${how}`, { cause });
}

/** What is wrong with the rows of the next step, where those before it are kept. */
function savedBefore({ folder, inputs, savedStep }: ActiveRun, cause: Error): DataError {
  return new DataError(
    `${cause.message}; the run is saved after step ${savedStep}, continue it with: ${howToResume(folder.path, inputs)}`,
    { cause },
  );
}

function unwritten({ folder: { path }, inputs, savedStep }: ActiveRun, cause: FileSystemError): FileSystemError {
  const [expected, got, advice] = isDiskFull(cause)
    ? ["room for the run's files", "a full disk", "free some space"]
    : ["the run's files to be written", "an error", "look at the disk"];
  const kept =
    savedStep === null
      ? "no checkpoint has been written yet, so it begins from the start with"
      : `the newest checkpoint is that of step ${savedStep}; then`;
  return new FileSystemError(
    `[${path}] expected ${expected}, got ${got} (${cause.message}); ${advice}; ${kept}: ${howToResume(path, inputs)}`,
    { cause },
  );
}
