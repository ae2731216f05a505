// Which rows each step sees.
import type { Sampler } from "@tunesmith/curriculum";

/** What a plan is made of. */
export interface PlanOptions {
  sampler: Sampler;
  /** Rows of a micro-batch. */
  batchSize: number;
  /** Micro-batches of a step. */
  accumulation: number;
  /** Passes; a fraction is allowed. */
  numTrainEpochs: number;
  /** Wins when positive. */
  maxSteps: number;
}

/** One optimizer step before it is computed. */
export interface StepPlan {
  /** From 1. */
  step: number;
  /** Indices of examples, per micro-batch. */
  microBatches: Int32Array[];
  /** Passes done once this step is: micro-batches done / micro-batches per epoch. */
  epochDone: number;
  /** Whether this step ends an epoch. */
  endsEpoch: boolean;
}

/**
 * Which rows each step sees: a pure function of the options, so that a run can go on from any step. Rows are cut into
 * micro-batches, micro-batches into steps; the last of either may be smaller, and no step crosses an epoch (transformers).
 */
export class TrainingPlan {
  /** Optimizer steps of the whole run. */
  readonly totalSteps: number;
  readonly #options: PlanOptions;

  constructor(options: PlanOptions) {
    this.#options = options;
    this.totalSteps = options.maxSteps > 0 ? options.maxSteps : this.#stepsOf(options.numTrainEpochs);
  }

  /** The plan of one step; step 0 is the start of the run. */
  at(step: number): StepPlan {
    const start: StepPlan = { step: 0, microBatches: [], epochDone: 0, endsEpoch: false };
    return step === 0 ? start : (this.steps(step - 1).next().value ?? start);
  }

  /** Steps after `done` others, to the end of the run. */
  *steps(done: number): Generator<StepPlan> {
    const { sampler, batchSize, accumulation } = this.#options;
    let firstOfEpoch = 1;
    for (let epoch = 0; firstOfEpoch <= this.totalSteps; epoch += 1) {
      const size = this.#epochSteps(epoch);
      const firstWanted = Math.max(done + 1, firstOfEpoch);
      const last = Math.min(this.totalSteps, firstOfEpoch + size - 1);
      // The order of an epoch is only made when one of its steps is wanted.
      const order = firstWanted <= last ? sampler.epoch(epoch) : new Int32Array();
      for (let step = firstWanted; step <= last; step += 1) {
        const microBatches: Int32Array[] = [];
        const first = (step - firstOfEpoch) * accumulation;
        for (let m = first; m < first + accumulation && m * batchSize < order.length; m += 1) {
          microBatches.push(order.subarray(m * batchSize, (m + 1) * batchSize));
        }
        const microBatchesDone = first + microBatches.length;
        const perEpoch = Math.ceil(order.length / batchSize);
        yield {
          step,
          microBatches,
          epochDone: epoch + microBatchesDone / perEpoch,
          endsEpoch: microBatchesDone === perEpoch,
        };
      }
      firstOfEpoch += size;
    }
  }

  #epochSteps(epoch: number): number {
    const { sampler, batchSize, accumulation } = this.#options;
    return Math.ceil(Math.ceil(sampler.size(epoch) / batchSize) / accumulation);
  }

  /** Steps of a number of passes; the steps of a fraction are rounded up (transformers), but not over a rounding error. */
  #stepsOf(epochs: number): number {
    const whole = Math.floor(epochs);
    let steps = 0;
    for (let epoch = 0; epoch < whole; epoch += 1) steps += this.#epochSteps(epoch);
    return steps + Math.ceil((epochs - whole) * this.#epochSteps(whole) - 1e-9);
  }
}
