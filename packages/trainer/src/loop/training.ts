// The loop of one run, from its first step to its result.
import { type ActiveRun, activate } from "./active-run.ts";
import { afterStep } from "./after-step.ts";
import type { StepPlace } from "./batch-sampler.ts";
import { stepsAfter } from "./data-skip.ts";
import { finish } from "./finish.ts";
import { watchHealth } from "./health-watch.ts";
import { measureIfDue } from "./measuring.ts";
import type { OpenRun } from "./open-run.ts";
import { describePhase, isOver } from "./phases.ts";
import type { TrainResult } from "./result.ts";
import { deleteOldCheckpoints } from "./rotation.ts";
import type { RunControl } from "./run.ts";
import { tellAgain } from "./saving.ts";
import { takeStep } from "./step.ts";
import { errorOf } from "./stop.ts";
import { takenNote, takenOptions } from "./taken.ts";
import { attempt } from "./writing.ts";

/**
 * Trains to the end, or to where it is stopped. Always frees the session and closes the files.
 *
 * @param finished called with the result before the last event
 */
export async function runTraining(
  open: OpenRun,
  control: RunControl,
  finished: (result: TrainResult) => void,
): Promise<TrainResult> {
  try {
    const run = activate(open, control);
    try {
      control.setState("running");
      await announce(run);
      await takeSteps(run);
      return await finish(run, finished);
    } catch (error) {
      throw await errorOf(run, error);
    } finally {
      run.steered.over = "run";
    }
  } finally {
    open.session.dispose();
    await open.prepared.close?.();
    await open.folder.close();
  }
}

async function announce(run: ActiveRun): Promise<void> {
  const { args, clock, events, prepared, session, state, warnings } = run;
  await events.emit({
    type: "prepared",
    runDir: args.outputDir,
    step: state.global_step,
    totalSteps: state.max_steps,
    session: session.info,
    memory: session.memory(),
    data: prepared.train.report,
    evalData: prepared.evaluation?.report ?? null,
    ...(prepared.evalSets !== undefined && { evalSets: prepared.evalSets }),
    chatTemplateSha256: prepared.tokenizer.info.chatTemplateSha256,
  });
  clock.start();
  const options = takenOptions(run);
  if (options.length > 0)
    await events.emit({ type: "note", step: state.global_step, message: takenNote(options), options });
  const message = run.phase === null ? null : describePhase(state);
  if (message !== null)
    await events.emit({ type: "note", step: state.global_step, message, options: ["maxSteps", "numTrainEpochs"] });
  for (const message of warnings) await events.warn(state.global_step, message);
  await watchHealth(run, { event: "start" });
  await begin(run);
}

/** Tells callbacks where the run is, with what is still to be done after its newest step. */
async function begin(run: ActiveRun): Promise<void> {
  const { checkpoint, events, phase, prepared, state } = run;
  const { global_step: step, max_steps: totalSteps, epoch } = state;
  await events.emit({ type: "trainBegin", step, totalSteps, epoch });
  await afterStep(run, prepared.batches.at(step));
  if (checkpoint?.trainer.checkpoint_told === true && phase === null) await tellAgain(run);
}

async function takeSteps(run: ActiveRun): Promise<void> {
  const { args, control, events, prepared, state } = run;
  if (isOver(state, args)) return;
  await measureIfDue(run);
  const ignoresSkip = args.ignoreDataSkip && run.checkpoint !== null;
  let before: StepPlace = prepared.batches.at(state.global_step);
  let since = performance.now();
  for await (const batches of stepsAfter(prepared.batches, state.global_step, ignoresSkip)) {
    const waitSeconds = (performance.now() - since) / 1000;
    await control.rest();
    control.signal.throwIfAborted();
    const { global_step: done, max_steps: totalSteps, epoch } = state;
    if (done === 0 || before.endsEpoch) await events.emit({ type: "epochBegin", step: done, epoch });
    await events.tell({ type: "stepBegin", step: batches.step, totalSteps, epoch });
    await takeStep(run, batches, waitSeconds);
    if (state.non_finite === 0) await attempt(run, "the deletion of old checkpoints", () => deleteOldCheckpoints(run));
    await afterStep(run, batches);
    if (isOver(state, args)) return;
    before = batches;
    await measureIfDue(run);
    since = performance.now();
  }
}
