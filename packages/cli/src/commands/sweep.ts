// `tunesmith sweep`: trains every combination of the values that a file lists, and compares them by their eval loss.
import { join } from "node:path";
import { exists, OptionError, terminalText } from "@tunesmith/core";
import {
  AbortError,
  type DPOMetrics,
  type EvalEvent,
  NonFiniteError,
  OutOfMemoryError,
  type SFTMetrics,
  type TrainRun,
} from "@tunesmith/sdk";
import pc from "picocolors";
import { readSweepFile } from "../config-file.ts";
import { armsOf } from "../sweep/arms.ts";
import { stoppedBy } from "../sweep/median-rule.ts";
import { type ArmState, SweepState } from "../sweep/sweep-state.ts";
import { significant } from "../view/format.ts";
import { type Output, Screen } from "../view/screen.ts";
import { armLine, sweepLines } from "../view/sweep-lines.ts";
import { Interrupt } from "./interrupt.ts";
import { type Streams, trainerOf } from "./train.ts";
import { type TrainerKind, trainers } from "./trainers.ts";

const command = "tunesmith sweep";

/** `tunesmith sweep`. Exit code 1 where an arm has failed, or that of the signal that stopped it. */
export async function sweep(file: string, flags: Record<string, unknown>, { out, err }: Streams): Promise<number> {
  const { json = false, dryRun = false, stopBadArms = true } = flags;
  const { trainer, sweep: axes, shared } = await readSweepFile(file);
  const kind: TrainerKind = trainers[trainer];
  const arms = armsOf(axes, shared, file, kind.schemas);
  const { outputDir, evalData, testSize } = shared;
  if (typeof outputDir !== "string")
    throw new OptionError(`[${file}] expected outputDir, the folder of the sweep, got nothing; give it`);
  if ((evalData ?? testSize ?? null) === null)
    throw new OptionError(
      `[${file}] expected held-out rows to compare arms by, evalData or testSize, got neither; give one`,
    );
  const told = json === true ? err : out;
  told.write(`sweep    ${arms.length} arms in ${terminalText(outputDir)}\n`);
  const incomparable = kind.decidesLoss.filter((name) => arms.some(({ values }) => values[name] !== undefined));
  if (incomparable.length > 0)
    err.write(
      `${pc.yellow("warning:")} arms are compared by their eval loss, which ${incomparable.join(" and ")} change: what differs in them does not compare\n`,
    );
  if (dryRun === true) {
    out.write(arms.map((arm) => `         ${armLine(arm)}\n`).join(""));
    return 0;
  }
  const state = await SweepState.open(outputDir, arms, trainer === "sft" ? shared : { ...shared, trainer });
  const code = await runArms(state, { kind, shared, outputDir, stopBadArms: stopBadArms === true, told, err });
  if (json === true) out.write(`${terminalText(JSON.stringify({ arms: state.arms }))}\n`);
  else if (code <= 1) out.write(sweepLines(state.arms, outputDir));
  return code;
}

/** What all arms share. */
interface Surroundings {
  kind: TrainerKind;
  shared: Record<string, unknown>;
  outputDir: string;
  stopBadArms: boolean;
  told: Output;
  err: Output;
}

async function runArms(state: SweepState, surroundings: Surroundings): Promise<number> {
  const screen = new Screen(surroundings.told);
  const interrupt = new Interrupt((signal) => {
    screen.settle();
    screen.print(pc.yellow(signal === "first" ? "stopping: finishing this step and saving" : "stopped at once"));
  });
  try {
    for (const arm of state.arms) {
      if (arm.state === "done" || arm.state === "stopped" || arm.state === "failed") continue;
      screen.print(`${pc.bold("arm")}      ${armLine(arm)}`);
      await runArm(arm, state, { ...surroundings, screen, signal: interrupt.signal });
    }
    return state.arms.some((arm) => arm.state === "failed") ? 1 : 0;
  } catch (error) {
    screen.settle();
    if (!(error instanceof AbortError) || interrupt.exitCode === null) throw error;
    screen.print("the same command goes on from here");
    return interrupt.exitCode;
  } finally {
    interrupt.dispose();
  }
}

/** Trains one arm, from where it was stopped; one whose numbers are not finite, or that does not fit the memory, has failed. */
async function runArm(
  arm: ArmState,
  state: SweepState,
  around: Surroundings & { screen: Screen; signal: AbortSignal },
): Promise<void> {
  const { kind, shared, outputDir, told, err, screen, signal } = around;
  const folder = join(outputDir, arm.name);
  const begun = await exists(join(folder, "config.resolved.yaml"));
  // An arm that begins from the start has no evaluations yet, whatever one before it that left nothing had.
  if (!begun) arm.evaluations = [];
  const all = { ...shared, ...arm.values, outputDir: folder };
  const silent = { write: () => {} };
  const { trainer, model } = await trainerOf(
    kind,
    all,
    { command, tell: begun || arm.name !== state.arms[0]?.name ? silent : told },
    err,
  );
  arm.state = "running";
  await state.save();
  const run = trainer.train({ resumeFromCheckpoint: begun, signal });
  try {
    await watch(run, arm, state, around);
    arm.state = "done";
  } catch (error) {
    screen.settle();
    if (error instanceof AbortError && arm.reason !== null) arm.state = "stopped";
    else if (error instanceof NonFiniteError || error instanceof OutOfMemoryError) {
      arm.state = "failed";
      arm.reason = error.message;
      screen.print(`${pc.red("failed")}   ${terminalText(error.message)}`);
    } else throw error;
  } finally {
    await model.dispose();
  }
  await state.save();
}

/** Follows a run to its end, and stops it where it is worse than the arms before it. */
async function watch(
  run: TrainRun<SFTMetrics> | TrainRun<DPOMetrics>,
  arm: ArmState,
  state: SweepState,
  { stopBadArms, screen }: Surroundings & { screen: Screen },
): Promise<void> {
  for await (const event of run) {
    if (event.type === "warning") screen.print(`${pc.yellow("warning:")} ${terminalText(event.message)}`);
    if (event.type === "step")
      screen.status(`${arm.name}  step ${event.step}/${event.totalSteps}  loss ${significant(event.loss)}`);
    if (event.type !== "eval" || !isFirstSet(event, arm)) continue;
    // A loss that is not finite compares with nothing; the run ends by itself when its steps are no better.
    if (!Number.isFinite(event.evalLoss)) continue;
    screen.print(`eval     step ${event.step}: eval loss ${significant(event.evalLoss)}`);
    // A resumed arm may evaluate a step again.
    arm.evaluations = [
      ...arm.evaluations.filter(({ step }) => step < event.step),
      { step: event.step, evalLoss: event.evalLoss },
    ];
    await state.save();
    const others = state.arms.filter((other) => other !== arm).map(({ evaluations }) => evaluations);
    const reason = stopBadArms && arm.reason === null ? stoppedBy(arm.evaluations, others) : null;
    if (reason === null) continue;
    arm.reason = reason;
    screen.print(`stopped  ${reason}`);
    run.abort();
  }
  await run;
}

/** Of several evaluation sets arms are compared by the first. */
const firstSets = new WeakMap<ArmState, string | undefined>();
function isFirstSet({ dataset }: EvalEvent<SFTMetrics> | EvalEvent<DPOMetrics>, arm: ArmState): boolean {
  if (!firstSets.has(arm)) firstSets.set(arm, dataset);
  return firstSets.get(arm) === dataset;
}
