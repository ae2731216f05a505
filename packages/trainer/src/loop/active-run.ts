// A run in progress, as the parts of the loop share it.
import { Emitter } from "./emitter.ts";
import { HealthWatch } from "./health-watch.ts";
import type { HookLimits } from "./hooks/call-hook.ts";
import { Callbacks } from "./hooks/callbacks.ts";
import { controlOf, type Steered } from "./hooks/control.ts";
import type { OpenRun } from "./open-run.ts";
import type { RunControl } from "./run.ts";

/** A run in progress, as the parts of the loop share it. */
export interface ActiveRun extends OpenRun {
  readonly control: RunControl;
  readonly events: Emitter;
  /** How functions of the program are called. */
  readonly limits: HookLimits;
  /** What callbacks steer. */
  readonly steered: Steered;
  readonly clock: Clock;
  readonly health: HealthWatch;
  /** Step of the newest checkpoint written or read; null before the first. */
  savedStep: number | null;
  /** The newest checkpoint after which older ones were deleted; null before the first. */
  tidiedStep: number | null;
  /** What could not be written the last time, in words. */
  readonly refused: Set<string>;
}

/** Makes an open run ready for its first step. */
export function activate(run: OpenRun, control: RunControl): ActiveRun {
  const { args, checkpoint, folder, inputs, prepared, prompts, session, state } = run;
  const steered: Steered = {
    over: null,
    hasEvaluation: prepared.evaluation !== null,
    hasPrompts: prompts.length > 0,
    state,
    addMetrics: (line) => folder.addMetrics(line),
  };
  const limits: HookLimits = {
    timeout: args.hookTimeout,
    onHeld: (label, milliseconds) => events.held(label, milliseconds),
  };
  const context = { model: inputs.model, session, control: controlOf(steered) };
  const events = new Emitter(control, new Callbacks(inputs.callbacks ?? [], context, limits));
  return {
    ...run,
    control,
    events,
    limits,
    steered,
    clock: new Clock(state.seconds),
    health: new HealthWatch(run, state.max_steps),
    savedStep: checkpoint === null ? null : state.global_step,
    tidiedStep: null,
    refused: new Set(),
  };
}

/** Seconds of a run, those before it was resumed included. */
class Clock {
  readonly #before: number;
  #begun = performance.now();

  constructor(before: number) {
    this.#before = before;
  }

  /** Counts from now: called after the first event, whose callbacks may take their time. */
  start(): void {
    this.#begun = performance.now();
  }

  seconds(): number {
    return this.#before + (performance.now() - this.#begun) / 1000;
  }
}
