// Best fit decreasing: the longest pieces first, each into the fullest row that has room.
import { slices } from "@tunesmith/core";
import { FreeSpace } from "./free-space.ts";
import type { PackBuilder, Pieces } from "./packs.ts";

/**
 * Best fit decreasing (Ding et al., "Fewer truncations improve language modeling", arXiv:2404.10830), into rows of their own. Pieces of
 * one length keep their order, and of equally full rows the oldest is taken, as TRL does. No piece is longer than `seqLength`.
 */
export async function bestFitDecreasing(
  { examples, starts, lengths }: Pieces,
  seqLength: number,
  packs: PackBuilder,
): Promise<void> {
  const order = await longestFirst(lengths, seqLength);
  const open = new FreeSpace(seqLength);
  await slices.each(order.length, (from, to) => {
    for (let n = from; n < to; n += 1) {
      const piece = order[n] as number;
      const length = lengths[piece] as number;
      const { row, free } = open.take(length) ?? { row: packs.open(), free: seqLength };
      packs.place(row, examples[piece] as number, starts[piece] as number, length);
      open.add(row, free - length);
    }
  });
}

/** Indices of lengths of at most `most`, the largest first, equal ones in their order: a counting sort. */
async function longestFirst(lengths: Int32Array, most: number): Promise<Int32Array> {
  const places = new Int32Array(most + 2);
  await slices.each(lengths.length, (from, to) => {
    for (let n = from; n < to; n += 1) {
      const key = most - (lengths[n] as number) + 1;
      places[key] = (places[key] as number) + 1;
    }
  });
  for (let n = 0; n <= most; n += 1) places[n + 1] = (places[n + 1] as number) + (places[n] as number);
  const order = new Int32Array(lengths.length);
  await slices.each(lengths.length, (from, to) => {
    for (let n = from; n < to; n += 1) {
      const key = most - (lengths[n] as number);
      const place = places[key] as number;
      order[place] = n;
      places[key] = place + 1;
    }
  });
  return order;
}
