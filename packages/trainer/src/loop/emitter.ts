// Tells everyone who listens to a run what happens in it.
import { CallbackError, type Generator, type LanguageModel, terminalText } from "@tunesmith/core";
import type { TrainEvent } from "./events.ts";
import type { Metrics } from "./metrics.ts";
import type { RunControl } from "./run.ts";

/** What a callback is given with each event. */
export interface CallbackContext {
  model: LanguageModel;
  /** Evaluates and generates with the weights as they are now. Not to be kept: it is disposed when the run ends. */
  session: Generator;
}

/**
 * Called with every event of a run, in order; the run waits for it. What it throws ends the run with a `CallbackError`. `M` names the
 * metrics of a recipe; a callback for any recipe leaves it out.
 */
export type TrainCallback<M extends Metrics = Metrics> = (
  event: TrainEvent<M>,
  context: CallbackContext,
) => void | Promise<void>;

/** The events of one run: to its iterators, then to each callback. */
export class Emitter {
  readonly #control: RunControl;
  readonly #context: CallbackContext;
  #callbacks: readonly TrainCallback[];
  readonly #warnings: string[] = [];

  constructor(control: RunControl, callbacks: readonly TrainCallback[], context: CallbackContext) {
    this.#control = control;
    this.#callbacks = callbacks;
    this.#context = context;
  }

  /** Emits an event and waits for the callbacks. */
  async emit(event: TrainEvent): Promise<void> {
    this.#control.emit(event);
    for (const callback of this.#callbacks) {
      try {
        await callback(event, this.#context);
      } catch (cause) {
        const message = cause instanceof Error ? cause.message : String(cause);
        throw new CallbackError(
          `[callback] expected no error on the event "${event.type}", got: ${message}; fix the callback`,
          { cause },
        );
      }
    }
  }

  /** What the user should know, so far. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** Something the user should know, safe to show on a terminal. */
  async warn(step: number, message: string): Promise<void> {
    const safe = terminalText(message);
    this.#warnings.push(safe);
    await this.emit({ type: "warning", step, message: safe });
  }

  /** From here on no callback is called. */
  silence(): void {
    this.#callbacks = [];
  }
}
