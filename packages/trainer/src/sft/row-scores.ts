// How hard a model finds rows: the loss of what is trained of them, with what comes before it and without.
import { type Generator, slices } from "@tunesmith/core";
import { difficultyOf, type LossSums, type MeasuredDifficulty } from "@tunesmith/curriculum";
import { collate, countTrained, type Example, IGNORE_INDEX, type Placed, type TrainingRows } from "@tunesmith/data";

/** How rows are measured. */
export interface RowScoreOptions {
  difficulty: MeasuredDifficulty;
  /** Tokens of a pass. */
  tokenBudget: number;
  /** Stops between two passes. Default: nothing does. */
  signal?: AbortSignal;
  /** Told how many rows are known, and waited for. Default: not told. */
  onRows?: (rows: number) => Promise<void>;
}

/** What a model says of rows. */
export interface RowScores {
  /** Of each row; higher is harder, NaN where there is nothing to measure: `[rows]`. */
  scores: Float32Array;
  /** Tokens that went through the model. */
  tokens: number;
  /** Whether every row is trained whole, so that no answer has a prompt. */
  allWhole: boolean;
}

/**
 * Measures rows with the weights as they are, without a gradient. A packed row is measured as one text would be: by the sums over all of its
 * sequences. Throws the signal's reason between two passes.
 */
export async function rowScores(
  session: Pick<Generator, "evaluate">,
  rows: Pick<TrainingRows, "length" | "at">,
  { difficulty, tokenBudget, signal, onRows = async () => {} }: RowScoreOptions,
): Promise<RowScores> {
  const sums = { whole: new Sums(rows.length), alone: new Sums(rows.length) };
  const passes = new Passes(session, tokenBudget);
  let allWhole = true;
  for (let row = 0; row < rows.length; row += 1) {
    if (slices.isOver) await slices.turn();
    for (const example of rows.at(row)) {
      signal?.throwIfAborted();
      await passes.add(example, row, sums.whole);
      if (difficulty !== "ifd") continue;
      const alone = answersOf(example);
      if (alone.length < example.length) allWhole = false;
      if (countTrained(alone.labels) > 0) await passes.add(alone, row, sums.alone);
    }
    await onRows(passes.firstWaiting ?? row + 1);
  }
  signal?.throwIfAborted();
  await passes.finish();
  await onRows(rows.length);
  const scores = Float32Array.from({ length: rows.length }, (_, row) =>
    difficultyOf(difficulty, sums.whole.at(row), sums.alone.at(row)),
  );
  return { scores, tokens: passes.tokens, allWhole };
}

/** What is trained of an example, by itself. */
function answersOf({ weights, ...example }: Example): Example {
  const isTrained = (_: number, t: number) => example.labels[t] !== IGNORE_INDEX;
  const ids = example.ids.filter(isTrained);
  const weighed = weights === undefined ? {} : { weights: weights.filter(isTrained) };
  return { ...example, ids, labels: ids.slice(), length: ids.length, ...weighed };
}

/** Loss of each row, summed over its sequences. */
class Sums {
  readonly #loss: Float64Array;
  readonly #weight: Float64Array;

  constructor(rows: number) {
    this.#loss = new Float64Array(rows);
    this.#weight = new Float64Array(rows);
  }

  add(row: number, { loss, weight }: LossSums): void {
    this.#loss[row] = (this.#loss[row] as number) + loss;
    this.#weight[row] = (this.#weight[row] as number) + weight;
  }

  at(row: number): LossSums {
    return { loss: this.#loss[row] as number, weight: this.#weight[row] as number };
  }
}

/** Sequences on their way through the model, as many in a pass as its budget allows. */
class Passes {
  readonly #session: Pick<Generator, "evaluate">;
  readonly #budget: number;
  #waiting: { placed: Placed; row: number; sums: Sums }[] = [];
  #length = 0;
  /** Tokens of all passes. */
  tokens = 0;

  constructor(session: Pick<Generator, "evaluate">, tokenBudget: number) {
    this.#session = session;
    this.#budget = tokenBudget;
  }

  /** The first row that a sequence still waits of; null where none does. */
  get firstWaiting(): number | null {
    return this.#waiting[0]?.row ?? null;
  }

  async add(example: Example, row: number, sums: Sums): Promise<void> {
    if (this.#length + example.length > this.#budget) await this.finish();
    this.#waiting.push({ placed: { example, microBatch: 0 }, row, sums });
    this.#length += example.length;
  }

  async finish(): Promise<void> {
    if (this.#waiting.length === 0) return;
    const { lossSum, weightSum } = await this.#session.evaluate(collate(this.#waiting.map(({ placed }) => placed)));
    for (const [n, { row, sums }] of this.#waiting.entries())
      sums.add(row, { loss: lossSum[n] as number, weight: weightSum[n] as number });
    this.tokens += this.#length;
    this.#waiting = [];
    this.#length = 0;
  }
}
