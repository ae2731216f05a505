import { expect, test } from "vitest";
import type { Example } from "../examples/example.ts";
import { collate } from "./collate.ts";

function example(rowId: number, ids: number[]): Example {
  return {
    ids: Int32Array.from(ids),
    labels: Int32Array.from(ids, (id) => -id),
    turns: 1,
    length: ids.length,
    rowId,
    truncated: false,
  };
}

test("sequences are packed end to end, with positions of their own and no padding", () => {
  const batch = collate([
    { example: example(4, [1, 2, 3]), microBatch: 0 },
    { example: example(9, [5]), microBatch: 0 },
    { example: example(2, [6, 7]), microBatch: 1 },
  ]);
  expect(batch).toEqual({
    inputIds: Int32Array.of(1, 2, 3, 5, 6, 7),
    labels: Int32Array.of(-1, -2, -3, -5, -6, -7),
    positions: Int32Array.of(0, 1, 2, 0, 0, 1),
    sequenceStarts: Int32Array.of(0, 3, 4, 6),
    microBatch: Int32Array.of(0, 0, 1),
    rowIds: Int32Array.of(4, 9, 2),
  });
});

test("weights stand at their own tokens, 1 where an example has none, and are absent where none has", () => {
  const weighted = { ...example(9, [5, 6]), weights: Float32Array.of(0.5, 2) };
  const batch = collate([
    { example: example(4, [1, 2, 3]), microBatch: 0 },
    { example: weighted, microBatch: 0 },
  ]);
  expect(batch.weights).toEqual(Float32Array.of(1, 1, 1, 0.5, 2));
  expect(collate([{ example: example(4, [1]), microBatch: 0 }])).not.toHaveProperty("weights");
});
