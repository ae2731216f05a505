// Sorts many numbers without holding the event loop.
import { slices } from "./event-loop.ts";

/** Numbers that are sorted at once: about a millisecond. */
const run = 1 << 12;

/** Sorts in place, equal ones in their order, as `Int32Array.sort` does. The event loop turns in between. */
export async function sortInSlices(values: Int32Array, compare: (a: number, b: number) => number): Promise<void> {
  const n = values.length;
  for (let from = 0; from < n; from += run) {
    values.subarray(from, from + run).sort(compare);
    if (slices.isOver) await slices.turn();
  }
  let source: Int32Array = values;
  let target: Int32Array = new Int32Array(n > run ? n : 0);
  for (let width = run; width < n; width *= 2) {
    for (let from = 0; from < n; from += 2 * width) await merge({ source, target, compare }, from, width);
    [source, target] = [target, source];
  }
  if (source === values) return;
  await slices.each(n, (from, to) => {
    values.set(source.subarray(from, to), from);
  });
}

interface Merge {
  source: Int32Array;
  target: Int32Array;
  compare: (a: number, b: number) => number;
}

/** Merges two sorted runs that follow each other. */
async function merge({ source, target, compare }: Merge, from: number, width: number): Promise<void> {
  const [middle, end] = [Math.min(source.length, from + width), Math.min(source.length, from + 2 * width)];
  let [left, right] = [from, middle];
  await slices.each(end - from, (first, last) => {
    for (let at = from + first; at < from + last; at += 1) {
      const isLeft = left < middle && (right === end || compare(source[left] as number, source[right] as number) <= 0);
      target[at] = source[isLeft ? left++ : right++] as number;
    }
  });
}
