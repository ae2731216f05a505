// Long work in slices, so that timers, servers and signals of the same program go on beside it.

/** Milliseconds of work between two turns of the event loop, well under the 50 that are called a long task: single rows and garbage take time too. */
const slice = 8;

/** Steps of a tight loop between two looks at the clock: a millisecond at most. */
const piece = 1 << 14;

/** When the slice in hand began. */
let begun = performance.now();

/** Works that wait for the event loop to turn. */
const waiting: (() => void)[] = [];

/**
 * Cuts long work into slices. Between two of its parts it asks whether a slice is over, and lets the event loop turn:
 * `if (slices.isOver) await slices.turn()`. All works of a program share one slice: those that go on at the same time, such as the reading
 * of rows ahead of those in hand, would else hold the event loop for the sum of theirs.
 */
export const slices = {
  /** Whether the event loop has been held for as long as it may be. */
  get isOver(): boolean {
    // Also where a test has set another clock.
    return Math.abs(performance.now() - begun) > slice;
  },

  /** Lets everything run that waits for the event loop. Works that wait here go on one per turn, the first first. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      if (waiting.push(resolve) === 1) setImmediate(next);
    });
  },

  /**
   * A tight loop of `count` steps in pieces, between which the event loop may turn.
   *
   * @param work does the steps from one on, up to but not another
   */
  async each(count: number, work: (from: number, to: number) => void): Promise<void> {
    for (let from = 0; from < count; from += piece) {
      work(from, Math.min(count, from + piece));
      if (slices.isOver) await slices.turn();
    }
  },
} as const;

function next(): void {
  begun = performance.now();
  waiting.shift()?.();
  // Of the next turn: an immediate that is set here does not run in this one.
  if (waiting.length > 0) setImmediate(next);
}
