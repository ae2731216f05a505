// Rows drawn by weight.
import { OptionError } from "@tunesmith/core";
import type { SamplerFactory } from "./custom-sampler.ts";
import { drawUnit, keyOf, purpose } from "./philox.ts";
import type { SamplerRow } from "./rows.ts";

/**
 * Draws rows with replacement, each as often as its weight says among the weights of all, as the `sampler` of a trainer (torch's
 * WeightedRandomSampler). An epoch draws as many as there are rows. Weights need not sum to 1; a row of weight 0 is never drawn. Weights that
 * are negative or not finite, or all 0, are an `OptionError`.
 */
export function weightedSampler(weight: (row: SamplerRow) => number): SamplerFactory {
  return ({ lengths, seed, row }) => {
    const n = lengths.length;
    const sums = new Float64Array(n);
    let sum = 0;
    for (let index = 0; index < n; index += 1) {
      const given = weight(row(index));
      if (!(Number.isFinite(given) && given >= 0))
        throw new OptionError(
          `[weight] expected a number of at least 0 for row ${index}, got ${given}; weigh every row`,
        );
      sum += given;
      sums[index] = sum;
    }
    if (!(sum > 0 && Number.isFinite(sum)))
      throw new OptionError(`[weight] expected weights with a finite sum above 0, got the sum ${sum}; correct them`);
    // Beyond it rows have no weight.
    const last = sums.indexOf(sum);
    const epoch = (number: number) =>
      Int32Array.from({ length: n }, (_, place) =>
        firstAbove(sums, last, sum * drawUnit([place, number, 0, purpose.weights], keyOf(seed))),
      );
    return { size: () => n, epoch };
  };
}

/** Index of the first sum above a value; the last where rounding leaves none. */
function firstAbove(sums: Float64Array, last: number, value: number): number {
  let [low, high] = [0, last];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sums[middle] as number) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
