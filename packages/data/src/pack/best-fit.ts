// Best fit decreasing: the longest pieces first, each into the fullest row that has room.
import { FreeSpace } from "./free-space.ts";
import type { Piece } from "./packs.ts";

/**
 * Best fit decreasing (Ding et al., "Fewer truncations improve language modeling", arXiv:2404.10830). Pieces of one length keep their
 * order, and of equally full rows the oldest is taken, as TRL does. No piece is longer than `seqLength`.
 */
export function bestFitDecreasing(pieces: readonly Piece[], seqLength: number): Piece[][] {
  const sorted = pieces.toSorted((a, b) => b.length - a.length);
  const rows: Piece[][] = [];
  const open = new FreeSpace(seqLength);
  for (const piece of sorted) {
    const { row, free } = open.take(piece.length) ?? { row: rows.push([]) - 1, free: seqLength };
    (rows[row] as Piece[]).push(piece);
    open.add(row, free - piece.length);
  }
  return rows;
}
