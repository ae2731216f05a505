// Runs a trainer to its end with progress and signals.
import { terminalText } from "@tunesmith/core";
import { AbortError, type LanguageModel, type SFTTrainer, type TrainOptions } from "@tunesmith/sdk";
import pc from "picocolors";
import { watchOutput } from "../lost-output.ts";
import { RunView } from "../view/run-view.ts";
import type { Output } from "../view/screen.ts";
import { Interrupt } from "./interrupt.ts";

/** Runs a trainer to its end with progress and signals. Gives the exit code of a run that was interrupted, else 0. */
export async function runTraining(
  trainer: SFTTrainer,
  model: LanguageModel,
  { json, out, err, options = {} }: { json: boolean; out: Output; err: Output; options?: TrainOptions },
): Promise<number> {
  // With --json standard output holds events and nothing else.
  const view = new RunView(json ? err : out, model);
  const interrupt = new Interrupt((signal) => {
    view.settle();
    const kept =
      view.lastCheckpoint === null
        ? "nothing has been saved yet"
        : `the last checkpoint is ${terminalText(view.lastCheckpoint)}`;
    view.print(
      signal === "first"
        ? pc.yellow("stopping: finishing this step and saving; once more to stop at once")
        : pc.yellow(`stopped at once; ${kept}`),
    );
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
      if (event.type === "checkpoint") view.lastCheckpoint = event.path;
    }
    return 0;
  } catch (error) {
    view.settle();
    if (!(error instanceof AbortError) || interrupt.exitCode === null) throw error;
    view.print(error.message);
    return interrupt.exitCode;
  } finally {
    process.off("SIGCONT", goOn);
    interrupt.dispose();
    unwatch();
  }
}
