// Batches, by the program's own function where it has one.
import { type Batch, OptionError } from "@tunesmith/core";
import type { Placed } from "@tunesmith/data";

/**
 * Makes the batch of one pass out of its sequences (Hugging Face's data_collator). It may change tokens, labels and weights, but not which
 * sequences there are. `collate` is the usual one.
 */
export type DataCollator = (sequences: readonly Placed[]) => Batch;

/** The batch of a pass. One that has not the sequences of the pass is an `OptionError`. */
export function collateWith(collator: DataCollator, sequences: readonly Placed[]): Batch {
  const batch = collator(sequences);
  const count = batch?.sequenceStarts instanceof Int32Array ? batch.sequenceStarts.length - 1 : null;
  if (count === sequences.length) return batch;
  const got = count === null ? "no batch" : `a batch of ${count}`;
  throw new OptionError(
    `[dataCollator] expected a batch of the ${sequences.length} sequences it was given, got ${got}; change what collate makes of them`,
  );
}
