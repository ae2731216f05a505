// Tells everyone who listens to a run what happens in it.
import { terminalText, warnProcess } from "@tunesmith/core";
import type { TrainEvent } from "./events.ts";
import { heldText, longHold } from "./hooks/call-hook.ts";
import type { Callbacks } from "./hooks/callbacks.ts";
import type { RunControl } from "./run.ts";

/** The events of one run: to its iterators, then to each callback. */
export class Emitter {
  readonly #control: Pick<RunControl, "emit">;
  readonly #callbacks: Callbacks;
  readonly #warnings: string[] = [];
  /** Hooks that have held the event loop, and those of them that have not been told of. */
  readonly #held = new Map<string, number>();
  #untold: string[] = [];

  constructor(control: Pick<RunControl, "emit">, callbacks: Callbacks) {
    this.#control = control;
    this.#callbacks = callbacks;
  }

  /** Emits an event and waits for the callbacks. */
  async emit(event: TrainEvent): Promise<void> {
    this.#control.emit(event);
    await this.tell(event);
  }

  /** The same to callbacks alone. */
  async tell(event: TrainEvent): Promise<void> {
    await this.#callbacks.call(event);
    for (const message of this.#untold.splice(0)) {
      // Nothing comes after the last event.
      if (event.type === "done") warnProcess(message);
      else if (event.type !== "preparing") await this.warn(event.step, message);
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

  /** A hook has held the event loop: told once after it has returned, and again where it takes twice as long. */
  held(label: string, milliseconds: number): void {
    if (milliseconds < 2 * (this.#held.get(label) ?? longHold / 2)) return;
    this.#held.set(label, milliseconds);
    this.#untold.push(heldText(label, milliseconds));
  }

  /** From here on no callback is called. */
  silence(): void {
    this.#callbacks.silence();
  }

  /** Whether that is so. */
  get isSilent(): boolean {
    return this.#callbacks.isSilent;
  }
}
