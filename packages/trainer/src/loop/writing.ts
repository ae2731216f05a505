// Writing the files of a run: what becomes of it when the system refuses is the option onSaveError.
import { type FileSystemError, isRefused } from "@tunesmith/core";
import type { ActiveRun } from "./active-run.ts";

/**
 * Writes something of a run. Where the system refuses, `onSaveError` says whether that ends the run, whether the run holds and tries
 * again, or goes on without. Gives whether it was written.
 *
 * @param what in words, for the warning
 */
export async function attempt(run: ActiveRun, what: string, write: () => Promise<void>): Promise<boolean> {
  const { args, events, refused, state } = run;
  while (true) {
    try {
      await write();
      refused.delete(what);
      return true;
    } catch (error) {
      if (!isRefused(error) || args.onSaveError === "stop") throw error;
      if (args.onSaveError === "pause") await hold(run, what, error);
      else {
        // One word for as long as it lasts.
        if (!refused.has(what)) {
          refused.add(what);
          await events.warn(
            state.global_step,
            `${what} could not be written, the run goes on without: ${error.message}`,
          );
        }
        return false;
      }
    }
  }
}

/** The same for what a run is for: without it no run ends well, so `continue` is no answer. */
export async function mustWrite(run: ActiveRun, what: string, write: () => Promise<void>): Promise<void> {
  if (run.args.onSaveError === "pause") await attempt(run, what, write);
  else await write();
}

/** What is not written now stays in memory until it is. */
export async function writeLines(run: ActiveRun): Promise<void> {
  for (const file of run.folder.growing) await attempt(run, `lines of ${file.path}`, () => file.flush());
}

async function hold({ control, events, state }: ActiveRun, what: string, error: FileSystemError): Promise<void> {
  const how = `free some space or correct the path, then call resume() or, at the command line: kill -CONT ${process.pid}`;
  await events.warn(state.global_step, `${what} could not be written, the run holds: ${error.message}; ${how}`);
  await control.hold();
  control.signal.throwIfAborted();
}
