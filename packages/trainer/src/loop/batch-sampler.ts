// Which rows each step sees.

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
