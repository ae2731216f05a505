import { expect, test } from "vitest";
import { type ShuffleOptions, shuffled } from "./shuffle-buffer.ts";

const options = { bufferSize: 10, seed: 5, epoch: 0 };

/** Numbers one after another; `read` has those that were asked for, and -1 after the end. */
async function* numbers(end: number, read: number[] = []): AsyncGenerator<number, undefined> {
  try {
    for (let n = 0; n < end; n += 1) {
      read.push(n);
      yield n;
    }
  } finally {
    read.push(-1);
  }
}

async function order(end: number, more: Partial<ShuffleOptions<number>> = {}): Promise<number[]> {
  const all: number[] = [];
  for await (const n of shuffled(numbers(end), { ...options, ...more })) all.push(n);
  return all;
}

const sorted = (list: readonly number[]) => list.toSorted((a, b) => a - b);
const upTo = (end: number) => Array.from({ length: end }, (_, n) => n);

test("every entry comes once, in an order that follows from seed and epoch", async () => {
  const first = await order(100);
  expect(sorted(first)).toEqual(upTo(100));
  expect(await order(100)).toEqual(first);
  for (const other of [{ seed: 6 }, { seed: 5 + 2 ** 32 }, { epoch: 1 }, { bufferSize: 11 }]) {
    const found = await order(100, other);
    expect(found).not.toEqual(first);
    expect(sorted(found)).toEqual(upTo(100));
  }
});

test("the buffer holds as many as it may: none comes earlier than its size allows", async () => {
  const found = await order(1000);
  for (const [place, n] of found.entries()) expect(n).toBeLessThanOrEqual(place + 9);
  // One that was unlucky waits long; most come soon.
  expect(found.some((n, place) => place > n + 20)).toBe(true);
  expect(await order(20, { bufferSize: 1 })).toEqual(upTo(20));
  expect(sorted(await order(5, { bufferSize: 10_000 }))).toEqual(upTo(5));
  expect(await order(0)).toEqual([]);
});

test("no more is read than the buffer takes, and a reader that leaves ends the source", async () => {
  const read: number[] = [];
  const rows = shuffled(numbers(Number.POSITIVE_INFINITY, read), options);
  await rows.next();
  expect(read).toEqual(upTo(10));
  await rows.next();
  expect(read).toEqual(upTo(11));
  await rows.return(undefined);
  expect(read.at(-1)).toBe(-1);
});

test("an entry counts as much as it weighs", async () => {
  const read: number[] = [];
  const rows = shuffled(numbers(100, read), { ...options, weigh: () => 4 });
  await rows.next();
  expect(read).toEqual(upTo(3));
  expect(sorted(await order(50, { weigh: (n) => n % 7 }))).toEqual(upTo(50));
  expect(await order(5, { weigh: () => 10 })).toEqual(upTo(5));
});

test("of two that come one after another each is as often the first", async () => {
  let swaps = 0;
  for (let seed = 0; seed < 1000; seed += 1) if ((await order(2, { seed, bufferSize: 2 }))[0] === 1) swaps += 1;
  expect(Math.abs(swaps - 500)).toBeLessThan(64);
});
