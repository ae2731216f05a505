// Rows of like length in one batch, so that little of a pass is padding or short.
import { slices, sortInSlices } from "@tunesmith/core";
import { permutationInSlices } from "./philox.ts";
import type { Sampler } from "./sampler.ts";

/** Batches that are sorted together, where there are rows enough for four such groups (transformers). */
const batchesOfGroup = 50;

/**
 * Every epoch in a random order that is cut into groups of some batches, each sorted by length, longest first; the longest row of all comes
 * first, so that a lack of memory shows at once (`group_by_length` of transformers; sequence bucketing, Khomenko et al., arXiv:1708.05604).
 *
 * @param batchSize rows of an optimizer step
 */
export function groupByLength(lengths: ArrayLike<number>, seed: number, batchSize: number): Sampler {
  const n = lengths.length;
  const group = batchSize * Math.max(1, Math.min(Math.floor(n / (batchSize * 4)), batchesOfGroup));
  const longestFirst = (a: number, b: number) => (lengths[b] as number) - (lengths[a] as number);
  const epoch = async (number: number) => {
    const order = await permutationInSlices(n, seed, number);
    let longest = 0;
    for (let start = 0; start < n; start += group) {
      const sorted = order.subarray(start, start + group);
      await sortInSlices(sorted, longestFirst);
      if (longestFirst(order[longest] as number, sorted[0] as number) > 0) longest = start;
      if (slices.isOver) await slices.turn();
    }
    const first = order[longest] as number;
    order[longest] = order[0] as number;
    order[0] = first;
    return order;
  };
  return { size: () => n, epoch, warnings: [] };
}
