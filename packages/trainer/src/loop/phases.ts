// Phases of a run: one that has ended goes on with more steps.
import { plural } from "@tunesmith/core";
import * as z from "zod";
import type { Resolved } from "../options/resolved.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { type Decisive, driftOf, type OptionChange, refuseChanges } from "./drift.ts";
import { stopsEarly } from "./early-stopping.ts";
import type { TrainerState } from "./state.ts";

/** What a run went on with after it had ended. */
export interface Phase {
  /** Steps of the run before its first one. */
  afterStep: number;
  /** Steps of the run before its schedule began: `afterStep` where that began afresh. */
  scheduleAfterStep: number;
  /** Steps of the run at its end. */
  totalSteps: number;
  /** When it began, in seconds since 1970. */
  startedAt: number;
  /** Options of the schedule that differ from those before. */
  changed: readonly OptionChange[];
}

/** A {@link Phase} as it is read back. */
export const phaseSchema: z.ZodType<Phase> = z.object({
  afterStep: z.int().nonnegative(),
  scheduleAfterStep: z.int().nonnegative(),
  totalSteps: z.int().nonnegative(),
  startedAt: z.number(),
  changed: z.array(z.object({ option: z.string().nullable(), was: z.unknown(), is: z.unknown() })),
});

/** What says how long a run is. */
const ofLength = ["maxSteps", "numTrainEpochs"];
/** What a schedule that begins afresh goes by besides. */
const ofSchedule = ["learningRate", "lrSchedulerType", "lrSchedulerKwargs", "warmupSteps"];

/** Whether all that a run was to do is done. */
export function isOver(
  { asked, best, global_step, max_steps }: Pick<TrainerState, "asked" | "best" | "global_step" | "max_steps">,
  { earlyStoppingPatience }: Pick<Resolved, "earlyStoppingPatience">,
): boolean {
  return global_step >= max_steps || asked.stop || stopsEarly(best, earlyStoppingPatience);
}

/** Steps of the run before its schedule began. */
export function scheduleStart({ phases }: Pick<TrainerState, "phases">): number {
  return phases.at(-1)?.scheduleAfterStep ?? 0;
}

/**
 * The phase that a run begins when it has ended and is given more steps; null where it goes on in the one that it is in. What decides the
 * numbers must be as it was, but for the schedule of a new phase: else it is a `CheckpointError`.
 *
 * @param now seconds since 1970
 */
export function phaseAfter(
  checkpoint: Checkpoint,
  { args, totalSteps, now }: { args: Resolved; totalSteps: number; now: number },
  decisive: Decisive,
): Phase | null {
  const { trainer } = checkpoint;
  const drift = driftOf(checkpoint, decisive);
  if (!isOver(trainer, args) || totalSteps <= trainer.max_steps) {
    refuseChanges(checkpoint, drift);
    return null;
  }
  const isFresh = args.schedule === "fresh";
  const isOf = (names: readonly string[]) => (change: OptionChange) =>
    change.option !== null && names.includes(change.option);
  const isFree = isOf(isFresh ? [...ofLength, ...ofSchedule] : ofLength);
  refuseChanges(
    checkpoint,
    drift.filter((change) => !isFree(change)),
  );
  const { global_step: afterStep } = trainer;
  const scheduleAfterStep = isFresh ? afterStep : scheduleStart(trainer);
  return { afterStep, scheduleAfterStep, totalSteps, startedAt: now, changed: drift.filter(isOf(ofSchedule)) };
}

/** The state of a run as its new phase begins. */
export function begun(state: TrainerState, phase: Phase): TrainerState {
  const isFresh = phase.scheduleAfterStep === phase.afterStep;
  return {
    ...state,
    phases: [...state.phases, phase],
    best: { ...state.best, withoutImprovement: 0 },
    asked: { ...state.asked, stop: false },
    schedule: isFresh ? null : state.schedule,
    learning_rate_override: isFresh ? null : state.learning_rate_override,
  };
}

/** The phase that a run is in, in words; null for its first. */
export function describePhase({ phases }: Pick<TrainerState, "phases">): string | null {
  const phase = phases.at(-1);
  if (phase === undefined) return null;
  const { afterStep, scheduleAfterStep, totalSteps } = phase;
  const schedule =
    scheduleAfterStep === afterStep
      ? "its schedule and warm-up begin afresh"
      : "its learning rates are those of a run that was this long from the start";
  return `phase ${phases.length + 1} of this run: ${plural(totalSteps - afterStep, "step")} after step ${afterStep}; ${schedule}`;
}
