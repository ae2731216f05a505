// Calls a function of the program that the run waits for: what it throws, that it does not end and that it holds the thread is named.
import { CallbackError, plural } from "@tunesmith/core";

/** Milliseconds without a turn of the event loop from which a hook is named. The SDK itself takes 50 at most; a busy machine adds to both. */
export const longHold = 500;

/** Milliseconds between two looks at the clock while a hook's promise is pending. */
const interval = 50;

/** A function of the program, as messages name it. */
export interface Hook {
  /** Place of the message, such as `callback "budget"` or `metrics.exactMatch`. */
  label: string;
  /** What it was called for, where the message says so, such as `micro-batch 1 of step 3`. Default: nothing is said of it. */
  where?: string;
  /** What is expected of it, such as `no error on the event "log"`. */
  expected: string;
  /** What it is, in the advice: `fix the callback`. */
  kind: "callback" | "function" | "metric";
  /** The option that says how long it may take. Default `hookTimeout`. */
  option?: string;
}

/** How hooks are called. */
export interface HookLimits {
  /** Seconds within which a promise must settle; null: it may take its time. */
  timeout: number | null;
  /** Told, after it has returned, that a hook held the event loop for so many milliseconds. */
  onHeld: (label: string, milliseconds: number) => void;
}

/** Stops the time of a hook while it waits for work of ours. */
export interface HookClock {
  stop(): void;
  start(): void;
}

/** Calls a hook and waits for it. What it throws, and a promise that does not settle in time, is a `CallbackError` that names it. */
export async function callHook<T>(
  { label, where, expected, kind, option = "hookTimeout" }: Hook,
  { timeout, onHeld }: HookLimits,
  work: (clock: HookClock) => T | Promise<T>,
): Promise<T> {
  const place = where === undefined ? `[${label}]` : `[${label}] ${where}:`;
  const deadline = new Deadline(timeout, () => {
    const got = `a promise that is still pending after ${plural(timeout ?? 0, "second")} (${option})`;
    return new CallbackError(`${place} expected ${expected}, got ${got}; fix the ${kind}, or raise ${option}`);
  });
  const hold = new Hold();
  try {
    deadline.start();
    const given = work(deadline);
    hold.look();
    if (!isPromise(given)) return given;
    hold.watch();
    return await deadline.race(given);
  } catch (cause) {
    if (cause === deadline.error) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new CallbackError(`${place} expected ${expected}, got: ${message}; fix the ${kind}`, { cause });
  } finally {
    deadline.stop();
    const held = hold.end();
    if (held >= longHold) onHeld(label, held);
  }
}

/** What is said of a hook that held the event loop. */
export function heldText(label: string, milliseconds: number): string {
  const time = plural(Math.round(milliseconds), "millisecond");
  return `${label} held the thread for ${time}: timers, servers and the run itself waited for it; give long work to a worker thread`;
}

function isPromise<T>(given: T | Promise<T>): given is Promise<T> {
  return typeof (given as Promise<T> | null | undefined)?.then === "function";
}

/** The time until which a promise must settle. */
class Deadline implements HookClock {
  readonly #milliseconds: number | null;
  readonly #late: () => CallbackError;
  #timer: NodeJS.Timeout | undefined;
  #reject: (error: CallbackError) => void = () => {};
  /** What it has ended with; null before. */
  error: CallbackError | null = null;

  constructor(seconds: number | null, late: () => CallbackError) {
    this.#milliseconds = seconds === null ? null : seconds * 1000;
    this.#late = late;
  }

  async race<T>(promise: Promise<T>): Promise<T> {
    if (this.#milliseconds === null) return promise;
    const late = new Promise<never>((_, reject) => {
      this.#reject = reject;
    });
    // What comes of it later has no one who waits for it.
    promise.catch(() => {});
    return Promise.race([promise, late]);
  }

  start(): void {
    if (this.#milliseconds === null || this.error !== null) return;
    this.stop();
    this.#timer = setTimeout(() => {
      this.error = this.#late();
      this.#reject(this.error);
    }, this.#milliseconds);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** The longest time for which the event loop was held. */
class Hold {
  #last = performance.now();
  #longest = 0;
  #timer: NodeJS.Timeout | undefined;

  look(): void {
    const now = performance.now();
    this.#longest = Math.max(this.#longest, now - this.#last);
    this.#last = now;
  }

  /** Looks again and again, as long as the event loop turns. */
  watch(): void {
    this.#timer = setInterval(() => this.look(), interval).unref();
  }

  end(): number {
    clearInterval(this.#timer);
    this.look();
    return this.#longest;
  }
}
