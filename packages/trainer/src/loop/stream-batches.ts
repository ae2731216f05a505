// The steps of a run whose rows are read while it trains: how many there are shows at the end of a pass.
import { createHash } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { CheckpointError, plural } from "@tunesmith/core";
import * as z from "zod";
import { type BatchLimit, BatchRoom } from "./batch-room.ts";
import { type BatchSampler, type StepBatches, type StepPlace, startPlace } from "./batch-sampler.ts";
import type { RecipeState } from "./recipe.ts";

/** Rows that come one after another. */
export interface RowStream<Row> {
  /** What its data set is called in messages. */
  readonly name: string;
  /** The rows of a pass over the data, by its number from 0: the same whenever the pass begins again. At least one. */
  pass(epoch: number): AsyncGenerator<Row, undefined>;
  /** Tokens of a row. */
  lengthOf(row: Row): number;
  /** What is trained on of a row. */
  bytesOf(row: Row): Iterable<Uint8Array>;
}

/** How rows become steps. */
export interface StreamOptions {
  /** What a micro-batch may hold. */
  limit: BatchLimit;
  /** Micro-batches of a step. */
  accumulation: number;
  /** Steps of the run. */
  maxSteps: number;
  /** Ends the wait for a row. */
  signal: AbortSignal;
}

/** Where a run is in a stream. */
interface StreamPlace extends StepPlace {
  /** The pass that it is in, and the steps of this pass. */
  pass: number;
  stepsOfPass: number;
  /** SHA-256 chained over what these steps were trained on. */
  fingerprint: string;
}

/** Milliseconds that the end of a source is waited for. */
const patience = 1000;

const beginning: StreamPlace = { ...startPlace, pass: 0, stepsOfPass: 0, fingerprint: "" };

const savedPlace = z.object({
  step: z.int().nonnegative(),
  pass: z.int().nonnegative(),
  stepsOfPass: z.int().nonnegative(),
  endsEpoch: z.boolean(),
  fingerprint: z.string().regex(/^[0-9a-f]*$/u),
});

/**
 * Passes over a stream: rows are cut into micro-batches and steps as those of a data set that is known. Only the rows of the newest step are
 * held, and the next one. A resumed run reads its pass again up to where it was, and refuses other rows than it was trained on.
 */
export class StreamBatches<Row> implements BatchSampler {
  readonly totalSteps: number;
  readonly #stream: RowStream<Row>;
  readonly #options: StreamOptions;
  #pass: AsyncGenerator<Row, undefined> | null = null;
  /** The row after those of the newest step; null at the end of the pass. */
  #next: Row | null = null;
  #rows: readonly Row[] = [];
  /** Where their micro-batches begin. */
  #starts: readonly number[] = [];
  /** After the newest step and after the one before it, which is where a run is until it has taken the newest. */
  #places: readonly [StreamPlace, StreamPlace] = [beginning, beginning];

  constructor(stream: RowStream<Row>, options: StreamOptions) {
    this.#stream = stream;
    this.#options = options;
    this.totalSteps = options.maxSteps;
  }

  /** Begins the first pass: what is wrong with its first rows shows here. */
  async open(): Promise<void> {
    try {
      await this.#begin(0);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** A row of the newest step, by the index that its micro-batches have. */
  row(index: number): Row {
    return this.#rows[index] as Row;
  }

  /** All rows of the newest step. */
  get rows(): readonly Row[] {
    return this.#rows;
  }

  at(step: number): StepPlace {
    return this.#placeAfter(step);
  }

  async *steps(): AsyncGenerator<StepBatches, undefined> {
    while (this.#places[0].step < this.totalSteps) {
      await this.#advance();
      const { step, epochDone, endsEpoch } = this.#places[0];
      yield { step, epochDone, endsEpoch, microBatches: this.#microBatches() };
    }
  }

  /** No one knows where epochs end; the run ends with a step. */
  epochEnds(done: number): number {
    return done < this.totalSteps ? 1 : 0;
  }

  /** Where the run is, for a checkpoint. */
  get state(): RecipeState {
    return {
      save: (step) => savedPlace.parse(this.#placeAfter(step)),
      load: async (state) => this.#goTo(this.#placeIn(state)),
    };
  }

  /** Stops reading. */
  async close(): Promise<void> {
    const closing = this.#pass?.return(undefined).catch(() => {});
    this.#pass = null;
    // A source that waits for a row ends after it, and that may never come.
    const waiting = new AbortController();
    await Promise.race([closing, setTimeout(patience, undefined, { signal: waiting.signal }).catch(() => {})]);
    waiting.abort();
  }

  #placeIn(state: unknown): z.output<typeof savedPlace> {
    const { data, error } = savedPlace.safeParse(state);
    if (data !== undefined) return data;
    throw new CheckpointError(
      `[${this.#stream.name}] expected the place of a run in its data, got ${error.issues[0]?.message}; the checkpoint is of another trainer, so start a new run`,
    );
  }

  async #goTo(saved: z.output<typeof savedPlace>): Promise<void> {
    const { step, pass, stepsOfPass } = saved;
    const start = { ...beginning, step: step - stepsOfPass, pass, epochDone: pass };
    // The first pass has been opened, and what gives its rows once cannot be opened again.
    if (pass > 0) await this.#begin(pass);
    this.#places = [start, start];
    for (let n = 0; n < stepsOfPass && !this.#places[0].endsEpoch; n += 1) await this.#advance();
    if (isDeepStrictEqual(savedPlace.parse(this.#places[0]), saved)) return;
    throw new CheckpointError(
      `[${this.#stream.name}] expected the rows that the run was trained on, got others in the first ${plural(stepsOfPass, "step")} of pass ${pass + 1}: the training data has changed; restore it, or start a new run`,
    );
  }

  /** Takes the rows of the next step. */
  async #advance(): Promise<void> {
    const [before] = this.#places;
    if (before.endsEpoch) await this.#begin(before.pass + 1);
    const { limit, accumulation } = this.#options;
    const room = new BatchRoom(limit);
    const rows: Row[] = [];
    const starts: number[] = [];
    while (this.#next !== null) {
      const begins = room.begins(this.#stream.lengthOf(this.#next));
      if (begins && starts.length === accumulation) break;
      if (begins) starts.push(rows.length);
      rows.push(this.#next);
      this.#next = await this.#read();
    }
    const endsEpoch = this.#next === null;
    const pass = before.endsEpoch ? before.pass + 1 : before.pass;
    const place = {
      step: before.step + 1,
      epochDone: endsEpoch ? pass + 1 : pass,
      endsEpoch,
      pass,
      stepsOfPass: before.endsEpoch ? 1 : before.stepsOfPass + 1,
      fingerprint: this.#chain(before.endsEpoch ? "" : before.fingerprint, rows),
    };
    this.#rows = rows;
    this.#starts = starts;
    this.#places = [place, before];
  }

  async #begin(pass: number): Promise<void> {
    await this.close();
    this.#pass = this.#stream.pass(pass);
    this.#next = await this.#read();
  }

  async #read(): Promise<Row | null> {
    const result = await orAborted((this.#pass as AsyncGenerator<Row, undefined>).next(), this.#options.signal);
    return result.done === true ? null : result.value;
  }

  #microBatches(): Int32Array[] {
    const indices = Int32Array.from(this.#rows.keys());
    return this.#starts.map((start, m) => indices.subarray(start, this.#starts[m + 1]));
  }

  #placeAfter(step: number): StreamPlace {
    return this.#places.find((place) => place.step === step) ?? beginning;
  }

  #chain(fingerprint: string, rows: readonly Row[]): string {
    const hash = createHash("sha256").update(fingerprint, "hex");
    for (const row of rows) for (const bytes of this.#stream.bytesOf(row)) hash.update(bytes);
    return hash.digest("hex");
  }
}

/** What a promise comes to, or the signal's reason where that fires before. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop: () => void = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, stopped]);
  } finally {
    signal.removeEventListener("abort", stop);
    // Of the two the one that comes later has no one who waits for it.
    promise.catch(() => {});
  }
}
