// Means and deviations that know nothing of values that there are not.

/** Mean of what is not NaN; NaN where there is nothing. */
export function mean(values: ArrayLike<number>): number {
  const there = given(values);
  return there.reduce((sum, value) => sum + value, 0) / there.length;
}

/** Standard deviation of what is not NaN, n − 1 in the denominator; NaN of fewer than two values. */
export function deviation(values: ArrayLike<number>): number {
  const there = given(values);
  if (there.length < 2) return Number.NaN;
  const center = mean(there);
  return Math.sqrt(there.reduce((sum, value) => sum + (value - center) ** 2, 0) / (there.length - 1));
}

/** Whether a deviation is 0 but for rounding (torch.isclose). */
export function isZero(value: number): boolean {
  return Math.abs(value) <= 1e-8;
}

/** Rows that are next to each other, so many at a time. */
export function groupsOf(values: Float64Array, size: number): Float64Array[] {
  return Array.from({ length: Math.ceil(values.length / size) }, (_, n) => values.subarray(n * size, (n + 1) * size));
}

function given(values: ArrayLike<number>): number[] {
  return Array.from(values).filter((value) => !Number.isNaN(value));
}
