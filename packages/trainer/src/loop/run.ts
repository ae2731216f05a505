// A run in progress: awaited, iterated, paused, stopped.
import { emitWarning } from "node:process";
import type { TrainEvent } from "./events.ts";
import type { Metrics } from "./metrics.ts";
import type { TrainResult } from "./result.ts";
import { Unheard } from "./unheard.ts";

/** What a run is doing. */
export type RunState = "preparing" | "running" | "paused" | "done" | "aborted" | "failed";

/** An event and those after it. */
interface Link<M extends Metrics> {
  event: TrainEvent<M> | null;
  next: Link<M> | null;
}

/** The side of a run that the training loop sees. */
export interface RunControl<M extends Metrics = Metrics> {
  /** Fires when the run shall stop at the next safe place. */
  readonly signal: AbortSignal;
  emit(event: TrainEvent<M>): void;
  setState(state: RunState): void;
  /** Between two steps: holds while the run is paused. */
  rest(): Promise<void>;
  /** Pauses the run by itself, until it is resumed or aborted. */
  hold(): Promise<void>;
}

/**
 * A training run. It starts at once, and can be awaited for its result and iterated for its events. An iterator sees every
 * event that none before it has read, so none is lost, however late it comes; the run forgets what has been read. When the run
 * fails, both the promise and the iterators throw its error.
 *
 * Leaving the loop with `break` does not end the run: await it for its result, iterate it again for the events that follow, or
 * {@link TrainRun.abort} it. Warnings that no iterator reads and no callback is given are warnings of the process
 * (`process.emitWarning`), and all of them are in the result.
 */
export class TrainRun<M extends Metrics = Metrics>
  implements AsyncIterable<TrainEvent<M>>, PromiseLike<TrainResult<M>>
{
  readonly #result: Promise<TrainResult<M>>;
  readonly #abort = new AbortController();
  #state: RunState = "preparing";
  #wantsPause = false;
  /** Wakes the loop out of a pause. */
  #wake: (() => void) | null = null;
  #paused: (() => void)[] = [];
  /** The link before the first unread event, and the last link. */
  #head: Link<M> = { event: null, next: null };
  #tail: Link<M> = this.#head;
  #waiting: (() => void)[] = [];
  readonly #unheard: Unheard;
  #isAwaited = false;

  /** @internal Made by a trainer. */
  constructor(
    work: (control: RunControl<M>) => Promise<TrainResult<M>>,
    signal?: AbortSignal,
    unheard = new Unheard(false),
  ) {
    this.#unheard = unheard;
    const control: RunControl<M> = {
      signal: this.#abort.signal,
      emit: (event) => this.#emit(event),
      setState: (state) => {
        this.#state = state;
      },
      rest: () => this.#rest(),
      hold: () => {
        this.#wantsPause = true;
        return this.#rest();
      },
    };
    const forward = () => this.abort(signal?.reason);
    if (signal?.aborted) forward();
    else signal?.addEventListener("abort", forward, { once: true });
    this.#result = (async () => {
      try {
        const result = await work(control);
        this.#state = "done";
        return result;
      } catch (error) {
        this.#state = (error as Error).name === "AbortError" ? "aborted" : "failed";
        throw error;
      } finally {
        signal?.removeEventListener("abort", forward);
        this.#tellPaused();
        this.#notify();
      }
    })();
  }

  /** What the run is doing now. */
  get state(): RunState {
    return this.#state;
  }

  /** Finishes the step in hand and holds, with everything in memory. Resolves once the run holds or has ended. */
  pause(): Promise<void> {
    if (this.#state === "paused" || this.#ended) return Promise.resolve();
    this.#wantsPause = true;
    return new Promise((resolve) => this.#paused.push(resolve));
  }

  /** Goes on after {@link pause}. */
  resume(): void {
    this.#wantsPause = false;
    this.#tellPaused();
    this.#wake?.();
  }

  /** Finishes the step in hand, saves a checkpoint and ends; the run rejects with `AbortError`. */
  abort(reason?: unknown): void {
    this.#abort.abort(reason);
    this.#wake?.();
  }

  // biome-ignore lint/suspicious/noThenProperty: a run is a promise of its result by design.
  then<A = TrainResult<M>, B = never>(
    onResult?: ((result: TrainResult<M>) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#isAwaited = true;
    return this.#result.then(onResult, onError);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TrainEvent<M>, void, undefined> {
    // Whoever iterates sees the error there; the promise need not be awaited as well.
    this.#result.catch((error: Error) => this.#tellFailure(error));
    this.#unheard.begin();
    try {
      let link = this.#head;
      while (true) {
        if (link.next === null) {
          if (this.#ended) {
            await this.#result;
            return;
          }
          await new Promise<void>((resolve) => this.#waiting.push(resolve));
          continue;
        }
        if (link === this.#head) this.#head = link.next;
        link = link.next;
        const event = link.event as TrainEvent<M>;
        this.#unheard.read(event);
        yield event;
      }
    } finally {
      this.#unheard.end();
    }
  }

  /** The failure of a run that was only iterated, and whose loop was left before, would otherwise reach no one. */
  #tellFailure(error: Error): void {
    if (this.#isAwaited || this.#unheard.isListenedTo || this.#state === "aborted") return;
    emitWarning(error);
  }

  get #ended(): boolean {
    return this.#state === "done" || this.#state === "aborted" || this.#state === "failed";
  }

  #emit(event: TrainEvent<M>): void {
    const link = { event, next: null };
    this.#tail.next = link;
    this.#tail = link;
    this.#unheard.add(event);
    this.#notify();
  }

  #notify(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #tellPaused(): void {
    for (const tell of this.#paused.splice(0)) tell();
  }

  async #rest(): Promise<void> {
    if (!this.#wantsPause || this.#abort.signal.aborted) return;
    const before = this.#state;
    this.#state = "paused";
    this.#tellPaused();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = null;
    this.#state = before;
  }
}
