// Where a resumed run goes on in its data: where it was, or with ignoreDataSkip at the beginning of that epoch.
import type { BatchSampler, StepBatches } from "./batch-sampler.ts";

/**
 * The steps after `done` others. With `ignoreDataSkip` their rows are those from the beginning of the epoch that the run was in; there
 * are as many steps to the end of the run as otherwise (transformers).
 */
export async function* stepsAfter(
  batches: BatchSampler,
  done: number,
  ignoreDataSkip: boolean,
): AsyncGenerator<StepBatches, undefined> {
  const begin = ignoreDataSkip ? epochBegin(batches, done) : done;
  for await (const step of batches.steps(begin)) {
    if (step.step - begin + done > batches.totalSteps) return;
    yield { ...step, step: step.step - begin + done };
  }
}

/** Steps done before the epoch that a run is in after `done` of them. */
function epochBegin(batches: BatchSampler, done: number): number {
  let step = done;
  while (step > 0 && !batches.at(step).endsEpoch) step -= 1;
  return step;
}
