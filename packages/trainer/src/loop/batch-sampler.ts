// Which rows each step sees.
import type { ParsedTrainingArguments } from "@tunesmith/core";
import {
  createSampler,
  customSampler,
  type Sampler,
  type SamplerFactory,
  type SamplerRow,
} from "@tunesmith/curriculum";
import { type BatchLimit, BatchRoom, batchLimit, rowsPerBatch } from "./batch-room.ts";

/** Where a run is in its data after a step. */
export interface StepPlace {
  /** From 1; 0 is the start of the run. */
  step: number;
  /** Passes over the data done: micro-batches done / micro-batches per epoch. Where no one knows how many these are, whole passes. */
  epochDone: number;
  /** Whether this step ends an epoch. */
  endsEpoch: boolean;
}

/** The start of a run. */
export const startPlace: StepPlace = { step: 0, epochDone: 0, endsEpoch: false };

/** The rows of one optimizer step. */
export interface StepBatches extends StepPlace {
  /** Indices of rows, per micro-batch. */
  microBatches: Int32Array[];
}

/** Which rows each step sees, so that a run can go on from any of them. */
export interface BatchSampler {
  /** Optimizer steps of the whole run. */
  readonly totalSteps: number;
  /** Where a run is after its newest step. */
  at(step: number): StepPlace;
  /** Steps after `done` others, to the end of the run. */
  steps(done: number): Iterable<StepBatches> | AsyncIterable<StepBatches>;
  /** How many of these steps end an epoch or the run, as far as it is known. */
  epochEnds(done: number): number;
}

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
}

/** The rows that batches are made of, as far as their order depends on them. */
export interface OrderedRows {
  /** Tokens of each. */
  lengths: ArrayLike<number>;
  /** What is known of one of them. */
  facts(row: number): SamplerRow;
}

/**
 * The batches that the options of a run ask for, and what the user should know of their order.
 *
 * @param factory makes the order in place of `trainSamplingStrategy`
 */
export function epochBatches(
  args: ParsedTrainingArguments,
  rows: OrderedRows,
  factory: SamplerFactory | null = null,
): { batches: EpochBatchSampler; warnings: readonly string[] } {
  const { seed, numTrainEpochs, maxSteps, gradientAccumulationSteps: accumulation } = args;
  const { lengths } = rows;
  const limit = batchLimit(args);
  const batchSize = rowsPerBatch(limit, lengths) * accumulation;
  const fixedBatches = limit.tokens === Number.POSITIVE_INFINITY;
  const context = { lengths, seed, batchSize, fixedBatches, row: (index: number) => rows.facts(index) };
  const sampler =
    factory === null
      ? createSampler({ ...args, strategy: args.trainSamplingStrategy, reverse: args.reverseCurriculum }, context)
      : customSampler(factory, context);
  const batches = new EpochBatchSampler({ sampler, lengths, limit, accumulation, numTrainEpochs, maxSteps });
  return { batches, warnings: [...sampler.warnings, ...batches.neverReached()] };
}

/**
 * Passes over the data set, a pure function of the step: rows are cut into micro-batches, micro-batches into steps; the last of either may be smaller, and no step
 * crosses an epoch (transformers).
 */
export class EpochBatchSampler implements BatchSampler {
  readonly totalSteps: number;
  readonly #options: EpochOptions;
  /** Where micro-batches begin in the order of an epoch, of those epochs whose rows had to be looked at to count them. */
  readonly #starts = new Map<number, Int32Array>();

  constructor(options: EpochOptions) {
    this.#options = options;
    this.totalSteps = options.maxSteps > 0 ? options.maxSteps : this.#stepsOf(options.numTrainEpochs);
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
    return step === 0 ? startPlace : (this.steps(step - 1).next().value ?? startPlace);
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

  /** The order of the epoch that a step is of: indices of rows. */
  orderAt(step: number): Int32Array {
    const { epochDone, endsEpoch } = this.at(step);
    return this.#options.sampler.epoch(endsEpoch ? epochDone - 1 : Math.floor(epochDone));
  }

  *steps(done: number): Generator<StepBatches, undefined> {
    let firstOfEpoch = 1;
    for (let epoch = 0; firstOfEpoch <= this.totalSteps; epoch += 1) {
      const size = this.#epochSteps(epoch);
      const firstWanted = Math.max(done + 1, firstOfEpoch);
      const last = Math.min(this.totalSteps, firstOfEpoch + size - 1);
      // The order of an epoch is only made when one of its steps is wanted.
      const order = firstWanted <= last ? this.#options.sampler.epoch(epoch) : new Int32Array();
      for (let step = firstWanted; step <= last; step += 1)
        yield { step, ...this.#batches(order, epoch, step - firstOfEpoch) };
      firstOfEpoch += size;
    }
  }

  /** Micro-batches of a step, counted within its epoch. */
  #batches(order: Int32Array, epoch: number, index: number): Omit<StepBatches, "step"> {
    const { accumulation } = this.#options;
    const starts = this.#startsOf(epoch, order);
    const first = index * accumulation;
    const done = Math.min(first + accumulation, starts.length);
    const microBatches: Int32Array[] = [];
    for (let m = first; m < done; m += 1) microBatches.push(order.subarray(starts[m], starts[m + 1]));
    return { microBatches, epochDone: epoch + done / starts.length, endsEpoch: done === starts.length };
  }

  #epochSteps(epoch: number): number {
    const { sampler, limit, accumulation } = this.#options;
    const byRows = limit.tokens === Number.POSITIVE_INFINITY;
    const count = byRows ? Math.ceil(sampler.size(epoch) / limit.rows) : this.#startsOf(epoch, null).length;
    return Math.ceil(count / accumulation);
  }

  /** Where the micro-batches of an epoch begin. */
  #startsOf(epoch: number, known: Int32Array | null): Int32Array {
    const found = this.#starts.get(epoch);
    if (found !== undefined) return found;
    const { sampler, limit, lengths } = this.#options;
    const room = new BatchRoom(limit);
    const starts: number[] = [];
    for (const [place, row] of (known ?? sampler.epoch(epoch)).entries())
      if (room.begins(lengths[row] as number)) starts.push(place);
    const made = Int32Array.from(starts);
    this.#starts.set(epoch, made);
    return made;
  }

  /** Steps of a number of passes; the steps of a fraction are rounded up (transformers), but not over a rounding error. */
  #stepsOf(epochs: number): number {
    const whole = Math.floor(epochs);
    let steps = 0;
    for (let epoch = 0; epoch < whole; epoch += 1) steps += this.#epochSteps(epoch);
    return steps + Math.ceil((epochs - whole) * this.#epochSteps(whole) - 1e-9);
  }
}
