// Long work in slices, so that timers, servers and signals of the same program go on beside it.
import { setImmediate } from "node:timers/promises";

/** Milliseconds of work between two turns of the event loop. Well under the 50 that are called a long task: single rows take time too. */
const slice = 12;

/**
 * Cuts long work into slices. Between two of its parts it asks whether a slice is over, and lets the event loop turn:
 * `if (slices.isOver) await slices.turn()`.
 */
export class Slices {
  #begun = performance.now();

  /** Whether the work has held the event loop for as long as it may. */
  get isOver(): boolean {
    return performance.now() - this.#begun > slice;
  }

  /** Lets everything run that waits for the event loop. */
  async turn(): Promise<void> {
    await setImmediate();
    this.#begun = performance.now();
  }
}
