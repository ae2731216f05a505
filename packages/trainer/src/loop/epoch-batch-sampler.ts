// Passes over rows that are all known: which of them each step sees, as a function of the step and of what was measured.
import { OptionError, slices } from "@tunesmith/core";
import { type Measured, type MeasuredDifficulty, ranked, type Sampler } from "@tunesmith/curriculum";
import { type BatchLimit, BatchRoom } from "./batch-room.ts";
import { type BatchSampler, type StepBatches, type StepPlace, startPlace } from "./batch-sampler.ts";

/** What an {@link EpochBatchSampler} is made of. */
export interface EpochOptions {
  sampler: Sampler;
  /** What a micro-batch may hold. */
  limit: BatchLimit;
  /** Tokens of each row. */
  lengths: ArrayLike<number>;
  /** Micro-batches of a step. */
  accumulation: number;
  /** Passes; a fraction is allowed. */
  numTrainEpochs: number;
  /** Wins when positive. */
  maxSteps: number;
  /** Leaves out a last micro-batch with fewer rows than the others; where these have no number of rows, nothing. Default false. */
  dropLast?: boolean;
}

/** What the model found of the rows, and where the run was when it was asked. */
export interface MeasuredScores {
  /** Of each row; higher is harder: `[rows]`. */
  scores: Float32Array;
  /** The epoch of the step that followed. */
  epoch: number;
  /** The rows of that epoch that had been trained on before, in their order. */
  taken: Int32Array;
}

/**
 * Passes over the data set, a pure function of the step and of what was measured last: rows are cut into micro-batches, micro-batches into
 * steps; the last of either may be smaller, and no step crosses an epoch (transformers).
 */
export class EpochBatchSampler implements BatchSampler {
  readonly totalSteps: number;
  readonly #options: EpochOptions;
  /** Where micro-batches begin in the order of each epoch of the run, where tokens limit them; null where rows do. */
  readonly #starts: readonly Int32Array[] | null;
  #measured: (MeasuredScores & { easiestFirst: Int32Array }) | null = null;
  /** The order of the epoch that was asked for last. */
  #order: { epoch: number; rows: Promise<Int32Array> } | null = null;

  private constructor(options: EpochOptions, starts: readonly Int32Array[] | null) {
    this.#options = options;
    this.#starts = starts;
    this.totalSteps = options.maxSteps > 0 ? options.maxSteps : this.#stepsOf(options.numTrainEpochs);
  }

  /** Counts the steps. Where tokens limit micro-batches, the order of every epoch is looked at once; it is not one that is measured. */
  static async of(options: EpochOptions): Promise<EpochBatchSampler> {
    const { limit, accumulation, maxSteps, numTrainEpochs } = options;
    if (limit.tokens === Number.POSITIVE_INFINITY) return new EpochBatchSampler(options, null);
    const starts: Int32Array[] = [];
    for (let steps = 0; maxSteps > 0 ? steps < maxSteps : starts.length < numTrainEpochs; ) {
      const found = await startsOf(options, starts.length);
      starts.push(found);
      steps += Math.ceil(found.length / accumulation);
    }
    return new EpochBatchSampler(options, starts);
  }

  /** What the model must be asked of the rows before the first step; null where nothing. */
  get measures(): MeasuredDifficulty | null {
    return this.#options.sampler.measures ?? null;
  }

  /** What the order goes by; null before it was measured. */
  get measured(): MeasuredScores | null {
    return this.#measured;
  }

  /** The steps that follow go by what was measured: the rest of the epoch that they are of, and all later ones. */
  async goBy(measured: MeasuredScores): Promise<void> {
    this.#measured = { ...measured, easiestFirst: await ranked(measured.scores) };
    this.#order = null;
  }

  /** The epoch of the step after `done` steps, and its rows that these were trained on. */
  async takenAfter(done: number): Promise<Omit<MeasuredScores, "scores">> {
    const { epoch, index } = this.#find(done + 1);
    const { limit, accumulation } = this.#options;
    if (index === 0) return { epoch, taken: new Int32Array() };
    return { epoch, taken: (await this.#orderOf(epoch)).slice(0, index * accumulation * limit.rows) };
  }

  /** The epoch that a step is of, the first of its micro-batches there, from 0, and how many it has. */
  placeOf(step: number): { epoch: number; microBatch: number; count: number } {
    const { accumulation } = this.#options;
    const { epoch, index } = this.#find(step);
    const microBatch = index * accumulation;
    return { epoch, microBatch, count: Math.min(accumulation, this.#microBatchesOf(epoch) - microBatch) };
  }

  /** Parts of the order that the run ends before, in words. */
  neverReached(): string[] {
    const { sampler, maxSteps } = this.#options;
    const option = maxSteps > 0 ? "maxSteps" : "numTrainEpochs";
    return (sampler.parts ?? []).flatMap(({ name, epoch: first }) => {
      let before = 0;
      for (let epoch = 0; epoch < first && before < this.totalSteps; epoch += 1) before += this.#epochSteps(epoch);
      if (before < this.totalSteps) return [];
      return [
        `${name} is never trained: the run ends after step ${this.totalSteps}, before it begins; raise ${option}`,
      ];
    });
  }

  at(step: number): StepPlace {
    if (step === 0) return startPlace;
    const { epoch, index } = this.#find(step);
    return { step, ...this.#place(epoch, index) };
  }

  epochEnds(done: number): number {
    let ends = 0;
    let end = 0;
    for (let epoch = 0; end < this.totalSteps; epoch += 1) {
      end = Math.min(this.totalSteps, end + this.#epochSteps(epoch));
      if (end > done) ends += 1;
    }
    return ends;
  }

  /** Rows of an epoch, however often each. */
  sizeOf(epoch: number): number {
    return this.#options.sampler.size(epoch);
  }

  /** The order of the epoch that a step is of: indices of rows. */
  orderAt(step: number): Promise<Int32Array> {
    return this.#orderOf(this.#find(step).epoch);
  }

  async *steps(done: number): AsyncGenerator<StepBatches, undefined> {
    if (done >= this.totalSteps) return;
    let { epoch, index } = this.#find(done + 1);
    for (let step = done + 1; step <= this.totalSteps; step += 1) {
      const { epochDone, endsEpoch } = this.#place(epoch, index);
      yield { step, epochDone, endsEpoch, microBatches: await this.#microBatches(epoch, index) };
      [epoch, index] = endsEpoch ? [epoch + 1, 0] : [epoch, index + 1];
    }
  }

  /** The epoch that a step is of, and its number there from 0. */
  #find(step: number): { epoch: number; index: number } {
    let index = step - 1;
    for (let epoch = 0; ; epoch += 1) {
      const size = this.#epochSteps(epoch);
      if (index < size) return { epoch, index };
      index -= size;
    }
  }

  /** Where a run is in its data after a step, which is counted within its epoch. */
  #place(epoch: number, index: number): Omit<StepPlace, "step"> {
    const count = this.#microBatchesOf(epoch);
    const done = Math.min((index + 1) * this.#options.accumulation, count);
    return { epochDone: epoch + done / count, endsEpoch: done === count };
  }

  async #microBatches(epoch: number, index: number): Promise<Int32Array[]> {
    const { accumulation, limit } = this.#options;
    const order = await this.#orderOf(epoch);
    const first = index * accumulation;
    const done = Math.min(first + accumulation, this.#microBatchesOf(epoch));
    const startOf = (m: number) => (this.#starts === null ? m * limit.rows : this.#starts[epoch]?.[m]);
    return Array.from({ length: done - first }, (_, m) => order.subarray(startOf(first + m), startOf(first + m + 1)));
  }

  #epochSteps(epoch: number): number {
    return Math.ceil(this.#microBatchesOf(epoch) / this.#options.accumulation);
  }

  #microBatchesOf(epoch: number): number {
    const { sampler, limit, dropLast } = this.#options;
    const round = dropLast === true ? Math.floor : Math.ceil;
    return this.#starts?.[epoch]?.length ?? round(sampler.size(epoch) / limit.rows);
  }

  /** The order of an epoch, which is made where it is not that of the one before. */
  async #orderOf(epoch: number): Promise<Int32Array> {
    if (this.#order?.epoch !== epoch)
      this.#order = { epoch, rows: this.#options.sampler.epoch(epoch, this.#measuredFor(epoch)) };
    return this.#order.rows;
  }

  #measuredFor(epoch: number): Measured | undefined {
    if (this.measures === null) return undefined;
    if (this.#measured === null)
      throw new OptionError(
        `[difficulty] expected length or turns, for this trainer measures no rows, got "${this.measures}"; choose one of them`,
      );
    const { scores, easiestFirst, epoch: begun, taken } = this.#measured;
    return { scores, easiestFirst, taken: epoch === begun ? taken : new Int32Array() };
  }

  /** Steps of a number of passes; the steps of a fraction are rounded up (transformers), but not over a rounding error. */
  #stepsOf(epochs: number): number {
    const whole = Math.floor(epochs);
    let steps = 0;
    for (let epoch = 0; epoch < whole; epoch += 1) steps += this.#epochSteps(epoch);
    return epochs === whole ? steps : steps + Math.ceil((epochs - whole) * this.#epochSteps(whole) - 1e-9);
  }
}

/** Where the micro-batches of an epoch begin, by the tokens of their rows. */
async function startsOf({ sampler, limit, lengths }: EpochOptions, epoch: number): Promise<Int32Array> {
  const order = await sampler.epoch(epoch);
  const room = new BatchRoom(limit);
  const starts = new Int32Array(order.length);
  let count = 0;
  await slices.each(order.length, (from, to) => {
    for (let place = from; place < to; place += 1)
      if (room.begins(lengths[order[place] as number] as number)) starts[count++] = place;
  });
  return starts.slice(0, count);
}
