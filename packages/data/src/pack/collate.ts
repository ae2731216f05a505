// Examples laid end to end as one batch, never padded.
import type { Batch } from "@tunesmith/core";
import type { Example } from "../examples/example.ts";

/** A sequence of a packed batch and the micro-batch of the step it is counted with. */
export interface Placed {
  example: Example;
  microBatch: number;
}

/** Lays sequences end to end. There is no padding: positions restart at every sequence and attention stops there. */
export function collate(sequences: readonly Placed[]): Batch {
  const total = sequences.reduce((sum, { example }) => sum + example.length, 0);
  const inputIds = new Int32Array(total);
  const labels = new Int32Array(total);
  const weights = sequences.some(({ example }) => example.weights !== undefined)
    ? new Float32Array(total).fill(1)
    : null;
  const positions = new Int32Array(total);
  const sequenceStarts = new Int32Array(sequences.length + 1);
  let start = 0;
  for (const [index, { example }] of sequences.entries()) {
    inputIds.set(example.ids, start);
    labels.set(example.labels, start);
    if (example.weights !== undefined) weights?.set(example.weights, start);
    for (let t = 0; t < example.length; t += 1) positions[start + t] = t;
    start += example.length;
    sequenceStarts[index + 1] = start;
  }
  return {
    inputIds,
    labels,
    ...(weights !== null && { weights }),
    positions,
    sequenceStarts,
    microBatch: Int32Array.from(sequences, ({ microBatch }) => microBatch),
    rowIds: Int32Array.from(sequences, ({ example }) => example.rowId),
  };
}
