// Runs a trainer to its end with progress and signals.
import { terminalText } from "@tunesmith/core";
import { AbortError, type DPOTrainer, type LanguageModel, SFTTrainer, type TrainOptions } from "@tunesmith/sdk";
import pc from "picocolors";
import { watchOutput } from "../lost-output.ts";
import { errorEvent } from "../view/failure.ts";
import { RunView } from "../view/run-view.ts";
import type { Output } from "../view/screen.ts";
import { Interrupt } from "./interrupt.ts";
import { whatIsSaved } from "./saved.ts";

/** How {@link runTraining} shows a run, and how that is started. */
export interface RunTrainingOptions {
  /** Events as JSON on `out`, everything else on `err`. */
  json: boolean;
  out: Output;
  err: Output;
  /** As `train` takes them. Default: none. */
  options?: TrainOptions;
  /** Folder of a run that is resumed. Default null: that of the run, once it has one. */
  runDir?: string | null;
}

/**
 * Runs a trainer to its end with progress and signals. Gives the exit code of a run that was interrupted, else 0. */
export async function runTraining(
  trainer: SFTTrainer | DPOTrainer,
  model: LanguageModel,
  { json, out, err, options = {}, runDir = null }: RunTrainingOptions,
): Promise<number> {
  // With --json standard output holds events and nothing else.
  let folder = runDir;
  const view = new RunView(json ? err : out, model, { advises: trainer instanceof SFTTrainer });
  const interrupt = new Interrupt((signal) => {
    view.settle();
    const stopping =
      run.state === "preparing"
        ? "stopping: nothing has been trained yet"
        : "stopping: finishing this step and saving; once more to stop at once";
    view.print(pc.yellow(signal === "first" ? stopping : `stopped at once; ${terminalText(whatIsSaved(folder))}`));
  });
  const unwatch = watchOutput(out, ({ message }) =>
    err.write(`${pc.yellow("warning:")} standard output takes no more (${message}); the run goes on without it\n`),
  );
  const run = trainer.train({ ...options, signal: interrupt.signal });
  // A run that holds over a full disk (onSaveError) is told here that there is room again.
  const goOn = () => run.resume();
  if (process.platform !== "win32") process.on("SIGCONT", goOn);
  try {
    for await (const event of run) {
      if (json) out.write(`${terminalText(JSON.stringify(event))}\n`);
      else view.show(event);
      if (event.type === "prepared") folder = event.runDir;
    }
    return 0;
  } catch (error) {
    view.settle();
    if (!(error instanceof AbortError) || interrupt.exitCode === null) throw error;
    view.print(error.message);
    if (json) out.write(errorEvent(error));
    return interrupt.exitCode;
  } finally {
    process.off("SIGCONT", goOn);
    interrupt.dispose();
    unwatch();
  }
}
