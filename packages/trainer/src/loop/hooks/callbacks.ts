// The callbacks of one run: called in their order, with what they hold up of the program named.
import type { TrainEvent } from "../events.ts";
import { callHook, type HookLimits } from "./call-hook.ts";
import type { CallbackContext, NamedCallback } from "./callback.ts";

/** The callbacks of one run. */
export class Callbacks {
  readonly #limits: HookLimits;
  readonly #context: CallbackContext;
  readonly #callbacks: readonly NamedCallback[];
  #isSilent = false;

  constructor(callbacks: readonly NamedCallback[], context: CallbackContext, limits: HookLimits) {
    this.#callbacks = callbacks;
    this.#context = context;
    this.#limits = limits;
  }

  /** Calls each with an event, and waits for it. What one throws is a `CallbackError` that names it. */
  async call(event: TrainEvent): Promise<void> {
    for (const { label, onEvent } of this.#callbacks) {
      if (this.#isSilent) return;
      const hook = { label, expected: `no error on the event "${event.type}"`, kind: "callback" } as const;
      await callHook(hook, this.#limits, () => onEvent(event, this.#context));
    }
  }

  /** From here on none is called. */
  silence(): void {
    this.#isSilent = true;
  }

  get isSilent(): boolean {
    return this.#isSilent;
  }
}
