// Rows drawn by weight.
import { OptionError, slices } from "@tunesmith/core";
import type { SamplerFactory } from "./custom-sampler.ts";
import type { Measured, MeasuredDifficulty } from "./measured.ts";
import { drawUnit, keyOf, purpose } from "./philox.ts";
import type { SamplerRow } from "./rows.ts";

/** How rows are weighed. */
export interface WeightedOptions {
  /** What the model is asked of every row, for the score that the weight is given. Default: nothing. */
  measures?: MeasuredDifficulty;
}

/**
 * Draws rows with replacement, each as often as its weight says among the weights of all, as the `sampler` of a trainer (torch's
 * WeightedRandomSampler). An epoch draws as many as there are rows. Weights need not sum to 1; a row of weight 0 is never drawn. Weights that
 * are negative or not finite, or all 0, are an `OptionError`.
 *
 * @param weight of a row, by what is known of it and, with `measures`, its score: higher is harder, NaN where there is nothing to measure, or
 * nothing is asked. Drawn by their newest loss: Loshchilov and Hutter, arXiv:1511.06343
 */
export function weightedSampler(
  weight: (row: SamplerRow, score: number) => number,
  { measures }: WeightedOptions = {},
): SamplerFactory {
  return async ({ lengths, seed, row }) => {
    const n = lengths.length;
    const weigh = async (scores?: Float32Array) => {
      const weights = new Float64Array(n);
      for (let index = 0; index < n; index += 1) {
        weights[index] = weight(row(index), scores?.[index] ?? Number.NaN);
        if (slices.isOver) await slices.turn();
      }
      return runningSums(weights);
    };
    // What depends on no measurement is refused at once, and known from then on.
    const known = measures === undefined ? await weigh() : null;
    const epoch = async (number: number, measured?: Measured) => {
      const sums = known ?? (await weigh(measured?.scores));
      const sum = sums[n - 1] as number;
      // Beyond it rows have no weight.
      const last = sums.indexOf(sum);
      const order = new Int32Array(n);
      await slices.each(n, (from, to) => {
        for (let place = from; place < to; place += 1)
          order[place] = firstAbove(sums, last, sum * drawUnit([place, number, 0, purpose.weights], keyOf(seed)));
      });
      return order;
    };
    return { size: () => n, epoch, measures };
  };
}

function runningSums(weights: Float64Array): Float64Array {
  let sum = 0;
  const sums = weights.map((given, index) => {
    if (!(Number.isFinite(given) && given >= 0))
      throw new OptionError(`[weight] expected a number of at least 0 for row ${index}, got ${given}; weigh every row`);
    sum += given;
    return sum;
  });
  if (sum > 0 && Number.isFinite(sum)) return sums;
  throw new OptionError(`[weight] expected weights with a finite sum above 0, got the sum ${sum}; correct them`);
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
