// Warnings and findings of a run that have not reached anyone: they become warnings of the process.
import { warnProcess } from "@tunesmith/core";
import { healthText } from "../health/rule.ts";
import type { TrainEvent } from "./events.ts";
import type { Metrics } from "./metrics.ts";

/** Follows which warnings of a run have been heard: read by an iterator, or given to a callback. */
export class Unheard {
  readonly #hasCallbacks: boolean;
  readonly #warn: (message: string) => void;
  readonly #waiting = new Map<object, string>();
  #listeners = 0;

  /**
   * @param hasCallbacks whether the run has callbacks of the user's: they are given every event
   * @param warn told what has not been heard. Default `process.emitWarning`
   */
  constructor(hasCallbacks: boolean, warn: (message: string) => void = warnProcess) {
    this.#hasCallbacks = hasCallbacks;
    this.#warn = warn;
  }

  /** True while an iterator reads the events. */
  get isListenedTo(): boolean {
    return this.#listeners > 0;
  }

  /** An event has happened. */
  add<M extends Metrics>(event: TrainEvent<M>): void {
    if ((event.type !== "warning" && event.type !== "health") || this.#hasCallbacks) return;
    this.#waiting.set(event, event.type === "health" ? healthText(event) : event.message);
    this.#tell();
  }

  /** An iterator begins. */
  begin(): void {
    this.#listeners += 1;
  }

  /** An iterator gives an event out. */
  read(event: object): void {
    this.#waiting.delete(event);
  }

  /** An iterator ends: what it has not read is told in another way. */
  end(): void {
    this.#listeners -= 1;
    this.#tell();
  }

  #tell(): void {
    if (this.isListenedTo) return;
    for (const message of this.#waiting.values()) this.#warn(message);
    this.#waiting.clear();
  }
}
