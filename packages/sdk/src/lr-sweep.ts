// Learning rates to try, a constant factor apart.
import { ArgumentError } from "@tunesmith/core";

/** Which learning rates are tried. */
export interface LrSweepOptions {
  /** The lowest. */
  from: number;
  /** The highest. */
  to: number;
  /** How many, both ends among them. Default 7, as InstructGPT searched for its models of 1.3B and 6B. */
  count?: number;
}

/**
 * Learning rates of a geometric search: from the lowest to the highest, each the same factor above the one before. What is no rate or
 * count is an `ArgumentError`.
 */
export function lrSweep({ from, to, count = 7 }: LrSweepOptions): number[] {
  const isRate = (rate: unknown) => typeof rate === "number" && Number.isFinite(rate) && rate > 0;
  if (!isRate(from) || !isRate(to) || from > to)
    throw new ArgumentError(
      `[lrSweep] expected rates above 0, the lower as from, got from ${String(from)} and to ${String(to)}; correct them`,
    );
  if (!Number.isSafeInteger(count) || count < 1 || (count === 1 && from !== to))
    throw new ArgumentError(
      `[lrSweep] expected at least 2 rates between two ends, got count ${String(count)}; correct it`,
    );
  const factor = (to / from) ** (1 / Math.max(1, count - 1));
  // Four digits are more than a rate is known to; the ends stay as they are given.
  const rate = (n: number) => (n === 0 ? from : n === count - 1 ? to : Number((from * factor ** n).toPrecision(4)));
  return Array.from({ length: count }, (_, n) => rate(n));
}
