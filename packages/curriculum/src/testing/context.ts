// Rows that tests order.
import type { SamplerContext } from "../rows.ts";

/** Rows of some lengths; `turns` of each, 2 where nothing is said. */
export function contextOf(lengths: readonly number[], turns: readonly number[] = [], batchSize = 2): SamplerContext {
  const row = (index: number) => ({
    length: lengths[index] as number,
    turns: turns[index] ?? 2,
    trainedTokens: 1,
    rowIds: [index],
  });
  return { lengths, seed: 5, batchSize, fixedBatches: true, row };
}
