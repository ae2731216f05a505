// Counter-based random numbers (Philox4x32-10), and permutations by them.
import { slices } from "@tunesmith/core";

/** Upper 32 bits of the product of two unsigned 32-bit numbers, by 16-bit halves: each sum fits into 32 bits, so no number is a double. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) | 0;
  const cross = (Math.imul(aLow, bHigh) + (middle & 0xffff)) | 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (cross >>> 16)) | 0;
}

/**
 * Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). The
 * number at a counter needs no earlier one, so nothing has to be saved to go on after a restart.
 *
 * @param counter four unsigned 32-bit words
 * @param key two unsigned 32-bit words
 */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round += 1) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0);
    c0 = multiplyHigh(0xcd9e8d57, c2) ^ c1 ^ k0;
    c1 = Math.imul(0xcd9e8d57, c2);
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** The key of a seed, which may have more than 32 bits. */
export function keyOf(seed: number): readonly [number, number] {
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
}

/** What numbers are drawn for: the last word of a counter, which keeps draws for different ends apart. */
export const purpose = {
  order: 0,
  buffer: 1,
  hardRows: 2,
  hardPlaces: 3,
  competence: 4,
  weights: 5,
  seedExamples: 6,
  generatedExamples: 7,
  exampleOrder: 8,
  sampling: 9,
  instances: 10,
  templates: 11,
  rows: 12,
  bootstrap: 13,
  completions: 14,
  generationSeeds: 15,
} as const;

/** A random number of [0, 1), by {@link philox} at a counter. */
export function drawUnit(...at: Parameters<typeof philox>): number {
  const [low, high] = philox(...at);
  return (high * 2 ** 21 + (low >>> 11)) / 2 ** 53;
}

/** A random whole number of 0 … n − 1, likewise. */
export function drawBelow(n: number, ...at: Parameters<typeof philox>): number {
  // 53 random bits: the bias of rounding to n values is below n · 2⁻⁵³.
  return Math.floor(drawUnit(...at) * n);
}

/** A permutation of 0 … n − 1 that depends on (seed, stream, end) only: Fisher-Yates with {@link philox}. */
export function permutation(n: number, seed: number, stream: number, end: number = purpose.order): Int32Array {
  const order = ascending(n);
  shuffle(order, { key: keyOf(seed), stream, end }, 0, n - 1);
  return order;
}

/** The same for many numbers: a million take a tenth of a second, and the event loop turns in between. */
export async function permutationInSlices(
  n: number,
  seed: number,
  stream: number,
  end: number = purpose.order,
): Promise<Int32Array> {
  const order = ascending(n);
  const draws = { key: keyOf(seed), stream, end };
  await slices.each(n - 1, (from, to) => shuffle(order, draws, from, to));
  return order;
}

/** Steps of a shuffle, counted from the last place, from one on and up to but not another. */
function shuffle(
  order: Int32Array,
  { key, stream, end }: { key: readonly [number, number]; stream: number; end: number },
  from: number,
  to: number,
): void {
  const last = order.length - 1;
  for (let i = last - from; i > last - to; i -= 1) {
    const j = drawBelow(i + 1, [i, stream, 0, end], key);
    const taken = order[j] as number;
    order[j] = order[i] as number;
    order[i] = taken;
  }
}

/** 0 … n − 1. */
export function ascending(n: number): Int32Array {
  const numbers = new Int32Array(n);
  for (let index = 0; index < n; index += 1) numbers[index] = index;
  return numbers;
}
