// Looks at many rows in slices: an audit has about twenty checks, and each looks at all of them.
import { slices } from "@tunesmith/core";

/** What `of` gives of each entry, end to end. The event loop turns between two entries. */
export async function flatMapInSlices<T, R>(
  entries: readonly T[],
  of: (entry: T, index: number) => readonly R[],
): Promise<R[]> {
  const found: R[] = [];
  for (const [index, entry] of entries.entries()) {
    for (const value of of(entry, index)) found.push(value);
    if (slices.isOver) await slices.turn();
  }
  return found;
}

/** What `of` gives of each entry, likewise. */
export function mapInSlices<T, R>(entries: readonly T[], of: (entry: T, index: number) => R): Promise<R[]> {
  return flatMapInSlices(entries, (entry, index) => [of(entry, index)]);
}

/** Those entries that `takes` takes, likewise. */
export function filterInSlices<T>(entries: readonly T[], takes: (entry: T, index: number) => boolean): Promise<T[]> {
  return flatMapInSlices(entries, (entry, index) => (takes(entry, index) ? [entry] : []));
}
