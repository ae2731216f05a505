// The end of a run: best weights, adapter, report and result.
import { replaceFolder } from "@tunesmith/core";
import type { ActiveRun } from "./active-run.ts";
import { loadBest } from "./best-checkpoint.ts";
import { stopsEarly } from "./early-stopping.ts";
import { describeRun } from "./report.ts";
import type { StopReason, TrainResult } from "./result.ts";
import { deleteOldCheckpoints } from "./rotation.ts";
import { attempt, mustWrite } from "./writing.ts";

/** Takes the best weights where that was asked for, writes adapter and report, and tells `finished` and everyone who listens. */
export async function finish(run: ActiveRun, finished: (result: TrainResult) => void): Promise<TrainResult> {
  const { args, claim, clock, events, folder, session, state } = run;
  const loadedBestStep = args.loadBestModelAtEnd ? await loadBest(run) : null;
  await claim.confirm();
  await mustWrite(run, "the result", () => replaceFolder(folder.adapterDir, (dir) => session.saveAdapter(dir)));
  await attempt(run, "the deletion of old checkpoints", () => deleteOldCheckpoints(run));
  const byLength: StopReason = args.maxSteps > 0 ? "max_steps" : "epochs";
  state.seconds = clock.seconds();
  const stoppedBy = stopsEarly(state.best, args.earlyStoppingPatience) ? "early_stopping" : byLength;
  const { result, report } = describeRun(run, { stoppedBy, loadedBestStep });
  await mustWrite(run, "the report", async () => {
    await folder.metrics.sync();
    await folder.samples.sync();
    await folder.writeJson("report.json", report);
  });
  finished(result);
  await events.emit({ type: "done", result });
  return result;
}
