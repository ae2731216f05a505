// A random order of rows that come one after another: each next one is drawn from a buffer of those that have come.
import { drawBelow, keyOf, purpose } from "./philox.ts";

/** How rows are shuffled by a buffer. */
export interface ShuffleOptions<T> {
  /** Rows that the buffer holds (datasets' `IterableDataset.shuffle`); 1 leaves the order as it is. */
  bufferSize: number;
  seed: number;
  /** Pass over the data: each has an order of its own. */
  epoch: number;
  /** As how many rows an entry counts. Default: each as one. */
  weigh?: (entry: T) => number;
}

/**
 * The same entries in an order that depends on them, (seed, epoch) and the size of the buffer only. The first comes once the buffer is full
 * or the entries are at their end.
 */
export async function* shuffled<T>(
  entries: AsyncIterable<T>,
  { bufferSize, seed, epoch, weigh = () => 1 }: ShuffleOptions<T>,
): AsyncGenerator<T, undefined> {
  const key = keyOf(seed);
  const held: T[] = [];
  let size = 0;
  let drawn = 0;
  const draw = () => {
    const index = drawBelow(held.length, [drawn, epoch, 0, purpose.buffer], key);
    drawn += 1;
    const entry = held[index] as T;
    const last = held.pop() as T;
    if (index < held.length) held[index] = last;
    size -= weigh(entry);
    return entry;
  };
  for await (const entry of entries) {
    held.push(entry);
    size += weigh(entry);
    while (size >= bufferSize && held.length > 0) yield draw();
  }
  while (held.length > 0) yield draw();
}
