// Confidence intervals of metrics by resampling the rows: the bootstrap (Efron 1979), paired for two models (Koehn 2004).
import { slices } from "@tunesmith/core";
import { drawBelow, keyOf, purpose } from "@tunesmith/curriculum";
import { quotientOf, type RowValues } from "./sums.ts";

/** Lower and upper bound. */
export type Interval = [low: number, high: number];

/** How intervals are drawn. */
export interface BootstrapOptions {
  /** Rows that are resampled: their indices. */
  rows: Int32Array;
  resamples: number;
  confidence: number;
  seed: number;
  /** Keeps the draws of one table apart from those of another. */
  stream: number;
  signal: AbortSignal;
}

/** Intervals of one metric. */
export interface Intervals {
  model: Interval | null;
  base: Interval | null;
  /** Of the model's value less the base's, both of the same rows. */
  difference: Interval | null;
}

/**
 * Percentile intervals of metrics: as many sets as there are rows are drawn from them with replacement, and the middle share of what each
 * metric is of these sets is its interval. Both models have the same sets, so that the difference is paired. Draws are counted: they
 * depend on seed, stream, set and place alone. Null where fewer than two rows have the metric.
 *
 * @param models the metrics of one model, or of two, in the same order
 */
export async function intervals(
  models: readonly (readonly RowValues[])[],
  { rows, resamples, confidence, seed, stream, signal }: BootstrapOptions,
): Promise<Intervals[]> {
  const columns = models.flat();
  const values = columns.map(() => new Float64Array(resamples));
  const [sums, weights] = [new Float64Array(columns.length), new Float64Array(columns.length)];
  const key = keyOf(seed);
  for (let set = 0; set < resamples; set += 1) {
    signal.throwIfAborted();
    sums.fill(0);
    weights.fill(0);
    await slices.each(rows.length, (from, to) => {
      for (let place = from; place < to; place += 1) {
        const row = rows[drawBelow(rows.length, [place, set, stream, purpose.bootstrap], key)] as number;
        for (const [n, { sum, weight }] of columns.entries()) {
          sums[n] = (sums[n] as number) + (sum[row] as number);
          weights[n] = (weights[n] as number) + (weight[row] as number);
        }
      }
    });
    for (const [n, column] of columns.entries())
      (values[n] as Float64Array)[set] = quotientOf(column, sums[n] as number, weights[n] as number);
  }
  const [first = [], second] = models;
  return first.map((column, n) => {
    const known = rows.filter((row) => (column.weight[row] as number) > 0).length;
    if (known < 2) return { model: null, base: null, difference: null };
    const own = values[n] as Float64Array;
    const other = second === undefined ? null : (values[first.length + n] as Float64Array);
    return {
      model: percentiles(own, confidence),
      base: other === null ? null : percentiles(other, confidence),
      difference:
        other === null
          ? null
          : percentiles(
              own.map((value, set) => value - (other[set] as number)),
              confidence,
            ),
    };
  });
}

/** The middle share of values, between two by linear interpolation (numpy's percentile); sets that say nothing are left out. */
export function percentiles(values: Float64Array, share: number): Interval | null {
  const known = values.filter((value) => !Number.isNaN(value)).sort();
  if (known.length === 0) return null;
  const at = (quantile: number) => {
    const place = quantile * (known.length - 1);
    const [low, high] = [known[Math.floor(place)] as number, known[Math.ceil(place)] as number];
    return low === high ? low : low + (high - low) * (place % 1);
  };
  return [at((1 - share) / 2), at((1 + share) / 2)];
}
