import { expect, test } from "vitest";
import { groupByLength } from "./group-by-length.ts";
import { permutation } from "./philox.ts";

const lengthsOf = async (n: number) => permutation(n, 9, 9).map((value) => 1 + (value % 97));
const sorted = (order: Int32Array) => [...order].sort((a, b) => a - b);

/** `get_length_grouped_indices` of transformers, line by line, over a given permutation. */
function reference(lengths: ArrayLike<number>, indices: number[], batchSize: number): number[] {
  const length = (row: number) => lengths[row] as number;
  const size = batchSize * Math.max(1, Math.min(Math.floor(indices.length / (batchSize * 4)), 50));
  const groups: number[][] = [];
  for (let i = 0; i < indices.length; i += size)
    groups.push(indices.slice(i, i + size).sort((a, b) => length(b) - length(a)));
  const maxima = groups.map(([first]) => length(first as number));
  const longest = groups[maxima.indexOf(Math.max(...maxima))] as number[];
  const first = groups[0] as number[];
  [first[0], longest[0]] = [longest[0] as number, first[0] as number];
  return groups.flat();
}

test.each([
  [1, 8],
  [7, 8],
  [100, 1],
  [100, 8],
  [5000, 4],
  [5000, 16],
])("%i rows in batches of %i are grouped as transformers does", async (n, batchSize) => {
  const lengths = await lengthsOf(n);
  const sampler = groupByLength(lengths, 3407, batchSize);
  for (const epoch of [0, 3]) {
    const order = await sampler.epoch(epoch);
    expect([...order]).toEqual(reference(lengths, [...permutation(n, 3407, epoch)], batchSize));
    expect(sorted(order)).toEqual([...Array(n).keys()]);
    expect(lengths[order[0] as number]).toBe(Math.max(...lengths));
  }
});

test("a batch holds rows of like length, and epochs differ but need no earlier one", async () => {
  const lengths = await lengthsOf(4000);
  const order = await groupByLength(lengths, 1, 8).epoch(2);
  const spans: number[] = [];
  for (let start = 0; start < 4000; start += 8) {
    const batch = Array.from(order.subarray(start, start + 8), (row) => lengths[row] as number);
    spans.push(Math.max(...batch) - Math.min(...batch));
  }
  // At random they would be about 75 apart.
  expect(spans.sort((a, b) => a - b)[250]).toBeLessThan(5);
  expect(await groupByLength(lengths, 1, 8).epoch(2)).toEqual(order);
  expect(await groupByLength(lengths, 1, 8).epoch(1)).not.toEqual(order);
  expect(await groupByLength(lengths, 2, 8).epoch(2)).not.toEqual(order);
});
