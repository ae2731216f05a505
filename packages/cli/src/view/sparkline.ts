// A curve in one line of text.
const levels = [..."▁▂▃▄▅▆▇█"];

/**
 * A curve in one line of text: the values, averaged into at most `width` groups, between their extremes.
 *
 * @param scale values whose extremes are taken in their place, so that several curves share them
 */
export function sparkline(values: readonly number[], width: number, scale?: readonly number[]): string {
  const finite = values.filter(Number.isFinite);
  const groups = Math.min(width, finite.length);
  const means = Array.from({ length: groups }, (_, group) => {
    const part = finite.slice(
      Math.floor((group * finite.length) / groups),
      Math.floor(((group + 1) * finite.length) / groups),
    );
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
  const ends = scale?.filter(Number.isFinite) ?? means;
  const low = ends.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const range = ends.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY) - low;
  return means
    .map((value) => levels[range === 0 ? 0 : Math.round(((value - low) / range) * (levels.length - 1))])
    .join("");
}
