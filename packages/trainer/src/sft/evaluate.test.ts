import type { Batch, Generator, SequenceSums } from "@tunesmith/core";
import { collate, type Example } from "@tunesmith/data";
import { expect, test } from "vitest";
import { evaluate } from "./evaluate.ts";

/** A sequence of `length` tokens; a token of the row n costs n. */
function example(rowId: number, length: number): Example {
  const ids = new Int32Array(length).fill(rowId);
  return { ids, labels: ids, turns: 1, length, rowId, truncated: false };
}

/** A model to which every token costs its id. */
const session = {
  evaluate: async ({ inputIds, sequenceStarts, rowIds }: Batch): Promise<SequenceSums> => {
    const tokens = Int32Array.from(rowIds, (_, n) => (sequenceStarts[n + 1] ?? 0) - (sequenceStarts[n] ?? 0));
    const lossSum = Float64Array.from(tokens, (count, n) => count * (inputIds[sequenceStarts[n] ?? 0] ?? 0));
    const zeros = Float64Array.from(tokens, () => 0);
    return { lossSum, weightSum: Float64Array.from(tokens), tokens, correct: tokens, entropySum: zeros };
  },
} as unknown as Generator;

test("the loss is the mean of the batches' means, each counted by its rows, however many sequences are packed in one", async () => {
  // Three packed rows in batches of two: means (1·2 + 3·1 + 5·1) / 4 and 7.
  const packed = [[example(1, 2), example(3, 1)], [example(5, 1)], [example(7, 4), example(7, 1)]];
  const rows = { length: packed.length, at: (row: number) => packed[row] ?? [] };
  const options = { batchSize: 2, tokenBudget: 3, collator: collate };
  const { evalLoss, evalMeanTokenAccuracy } = await evaluate(session, rows, options);
  expect(evalLoss).toBeCloseTo(((10 / 4) * 2 + 7) / 3, 12);
  expect(evalMeanTokenAccuracy).toBe(1);
});
