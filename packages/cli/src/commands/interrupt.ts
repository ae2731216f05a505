// Ctrl-C, SIGTERM and a closed terminal of a run: the first asks it to stop at a safe place, the second stops at once.

/** Exit codes of a shell for a process that a signal has ended. */
const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** Where signals come from, and how the process ends: `process`, but for tests. */
export interface SignalSource {
  on(signal: keyof typeof codes, listener: () => void): unknown;
  off(signal: keyof typeof codes, listener: () => void): unknown;
  exit(code: number): void;
}

/**
 * Ctrl-C, SIGTERM and SIGHUP of a run: the first asks it to stop at a safe place, the second stops at once. A terminal that closes may
 * say so several times, and there is no one left to ask for more: SIGHUP is never the second.
 */
export class Interrupt {
  readonly #controller = new AbortController();
  readonly #source: SignalSource;
  readonly #listeners: [keyof typeof codes, () => void][];
  /** Exit code of the first signal; null before it. */
  exitCode: number | null = null;

  /** @param tell told about the first and the second signal, before anything happens */
  constructor(tell: (signal: "first" | "second") => void, source: SignalSource = process) {
    this.#source = source;
    this.#listeners = (Object.keys(codes) as (keyof typeof codes)[]).map((name) => [
      name,
      () => {
        if (this.exitCode === null) {
          this.exitCode = codes[name];
          tell("first");
          this.#controller.abort();
        } else if (name !== "SIGHUP") {
          tell("second");
          source.exit(codes[name]);
        }
      },
    ]);
    for (const [name, listener] of this.#listeners) source.on(name, listener);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Gives the signals back. */
  dispose(): void {
    for (const [name, listener] of this.#listeners) this.#source.off(name, listener);
  }
}
