// An order of rows that goes by how hard the model finds them: measured, kept, and saved with the run.
import { CheckpointError, type Generator, type Tokenizer } from "@tunesmith/core";
import type { MeasuredDifficulty } from "@tunesmith/curriculum";
import { keptScores } from "@tunesmith/data";
import * as z from "zod";
import { packageVersion } from "./environment.ts";
import type { EpochBatchSampler } from "./epoch-batch-sampler.ts";

/** What it took to know how hard rows are. */
export interface DifficultyReport {
  difficulty: MeasuredDifficulty;
  /** Rows. */
  rows: number;
  /** How often they were measured. */
  measured: number;
  /** Of these, taken from an earlier run with the same model and rows: 0 or 1. */
  fromCache: number;
  /** Tokens that went through the model, without a gradient. */
  tokens: number;
  /** Seconds, which are part of the run's but not of its steps'. */
  seconds: number;
}

/** What scores rows are asked for with. */
export interface ScoreContext {
  /** As it trains: nothing of it is changed. */
  session: Generator;
  /** Stops between two passes. */
  signal: AbortSignal;
  /** Told how many rows are known. */
  onRows(rows: number): Promise<void>;
}

/** Where a run is when rows are measured. */
export interface MeasureContext extends ScoreContext {
  /** Steps done. */
  step: number;
  /** All that decides the weights; null where that is not known, as of those that a run has trained. */
  weights: unknown;
}

/** How a recipe measures its rows. */
export interface MeasuredOrderOptions {
  batches: EpochBatchSampler;
  /** Rows of an epoch that takes each once. */
  rows: number;
  /** Steps between two measurements; null: only before the first step. */
  difficultySteps: number | null;
  /** Asks the model of each row: higher is harder. */
  score(difficulty: MeasuredDifficulty, context: ScoreContext): Promise<{ scores: Float32Array; tokens: number }>;
  /** Where scores of known weights are kept; null: nowhere. */
  cacheFolder: string | null;
  /** All that decides scores besides the weights. */
  key: unknown;
  tokenizer: Pick<Tokenizer, "mapFile">;
}

const whole = z.int().nonnegative();
const saved = z.object({
  difficulty: z.string(),
  step: whole,
  epoch: whole,
  scores: z.base64(),
  taken: z.base64(),
  measured: whole,
  fromCache: whole,
  tokens: whole,
  seconds: z.number(),
});

/** What a checkpoint holds of it. */
export type SavedDifficulty = z.output<typeof saved>;

/** Keeps the order of a run by what its model finds hard. */
export class MeasuredOrder {
  readonly #options: MeasuredOrderOptions;
  readonly #difficulty: MeasuredDifficulty;
  /** Steps that were done when the rows were measured last; null: they were not. */
  #step: number | null = null;
  readonly #report = { measured: 0, fromCache: 0, tokens: 0, seconds: 0 };

  constructor(difficulty: MeasuredDifficulty, options: MeasuredOrderOptions) {
    this.#difficulty = difficulty;
    this.#options = options;
  }

  get difficulty(): MeasuredDifficulty {
    return this.#difficulty;
  }

  /** Rows that are measured. */
  get rows(): number {
    return this.#options.rows;
  }

  get report(): DifficultyReport {
    return { difficulty: this.#difficulty, rows: this.#options.rows, ...this.#report };
  }

  /** Whether rows are measured before the step after `done` others. A checkpoint between the two holds what was measured before. */
  isDue(done: number): boolean {
    const { difficultySteps: every } = this.#options;
    return this.#step === null || (every !== null && done % every === 0 && this.#step !== done);
  }

  /** Measures the rows; steps that follow go by it. Gives whether an earlier run had asked the same. */
  async measure(context: MeasureContext): Promise<boolean> {
    const { batches } = this.#options;
    const begun = performance.now();
    const { scores, fromCache, tokens } = await this.#scores(context);
    await batches.goBy({ scores, ...(await batches.takenAfter(context.step)) });
    this.#step = context.step;
    this.#report.measured += 1;
    this.#report.fromCache += fromCache ? 1 : 0;
    this.#report.tokens += tokens;
    this.#report.seconds += (performance.now() - begun) / 1000;
    return fromCache;
  }

  /** What a checkpoint needs for the same rows to follow. */
  save(): SavedDifficulty | undefined {
    const { measured } = this.#options.batches;
    if (measured === null) return undefined;
    const { epoch, scores, taken } = measured;
    const places = { difficulty: this.#difficulty, step: this.#step ?? 0, epoch };
    return { ...places, scores: textOf(scores), taken: textOf(taken), ...this.#report };
  }

  /** Goes on with what {@link save} gave. What does not fit the rows is a `CheckpointError`. */
  async load(state: unknown): Promise<void> {
    const { data } = saved.safeParse(state);
    const scores = new Float32Array(bytesOf(data?.scores ?? ""));
    if (data === undefined || data.difficulty !== this.#difficulty || scores.length !== this.#options.rows)
      throw new CheckpointError(
        `[difficulty] expected the ${this.#difficulty} of ${this.#options.rows} rows in the checkpoint, got ${data === undefined ? "something else" : `the ${data.difficulty} of ${scores.length}`}; start a new run`,
      );
    const { step, epoch, taken, measured, fromCache, tokens, seconds } = data;
    await this.#options.batches.goBy({ scores, epoch, taken: new Int32Array(bytesOf(taken)) });
    this.#step = step;
    Object.assign(this.#report, { measured, fromCache, tokens, seconds });
  }

  async #scores({ weights, session, signal, onRows }: MeasureContext) {
    const { score, cacheFolder, key, rows: count, tokenizer } = this.#options;
    let tokens = 0;
    const compute = async () => {
      const given = await score(this.#difficulty, { session, signal, onRows });
      tokens = given.tokens;
      return given.scores;
    };
    const folder = weights === null ? null : cacheFolder;
    const parts = ["difficulty", packageVersion(), this.#difficulty, weights, key];
    return { ...(await keptScores({ folder, key: parts, count, tokenizer }, compute)), tokens };
  }
}

/** Numbers as text: exact, also those that are not finite, and far shorter than in decimals. */
function textOf({ buffer, byteOffset, byteLength }: Float32Array | Int32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}

/** Their bytes, in a buffer of their own: that of a short `Buffer` is shared. */
function bytesOf(text: string): ArrayBuffer {
  const bytes = Uint8Array.from(Buffer.from(text, "base64"));
  return bytes.buffer.slice(0, bytes.length - (bytes.length % 4));
}
