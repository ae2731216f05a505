// The end of a run: best weights, adapter, report and result.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { list, replaceFolder } from "@tunesmith/core";
import type { ActiveRun } from "./active-run.ts";
import { loadBest } from "./best-checkpoint.ts";
import { stopsEarly } from "./early-stopping.ts";
import { leftUndone } from "./hooks/control.ts";
import { describeRun } from "./report.ts";
import type { StopReason, TrainResult } from "./result.ts";
import { deleteOldCheckpoints } from "./rotation.ts";
import { attempt, mustWrite, writeLines } from "./writing.ts";

/** Takes the best weights where that was asked for, writes adapter and report, and tells `finished` and everyone who listens. */
export async function finish(run: ActiveRun, finished: (result: TrainResult) => void): Promise<TrainResult> {
  const { args, claim, clock, events, folder, session, state, steered } = run;
  steered.over = "steps";
  const undone = leftUndone(state.asked);
  if (undone !== null) await events.warn(state.global_step, undone);
  const loadedBestStep = args.loadBestModelAtEnd ? await loadBest(run) : null;
  await events.emit({ type: "trainEnd", step: state.global_step, epoch: state.epoch });
  await claim.confirm();
  await mustWrite(run, "the result", () => replaceFolder(folder.adapterDir, (dir) => session.saveAdapter(dir)));
  await attempt(run, "the deletion of old checkpoints", () => deleteOldCheckpoints(run));
  state.seconds = clock.seconds();
  const adapterBytes = await folderSize(folder.adapterDir);
  const { result, report } = describeRun(run, { stoppedBy: reasonOf(run), loadedBestStep, adapterBytes });
  await mustWrite(run, "the report", async () => {
    await folder.metrics.sync();
    await folder.samples.sync();
    await folder.writeJson("report.json", report);
  });
  await attempt(run, "report.html", () => folder.writePage());
  finished(result);
  await events.emit({ type: "done", result });
  // Callbacks may have had the last word.
  await writeLines(run);
  return result;
}

function reasonOf({ args, state }: ActiveRun): StopReason {
  if (stopsEarly(state.best, args.earlyStoppingPatience)) return "early_stopping";
  if (state.asked.stop) return "callback";
  return args.maxSteps > 0 ? "max_steps" : "epochs";
}

/** Bytes of the files in a folder. */
async function folderSize(folder: string): Promise<number> {
  const sizes = (await list(folder)).map(async (name) => (await stat(join(folder, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
