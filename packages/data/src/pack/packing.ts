// How examples are laid into rows of one length, and what that costs.
import { bestFitDecreasing } from "./best-fit.ts";
import { Packs, type Piece } from "./packs.ts";

/** How examples are laid into rows (names of TRL's `packing_strategy`, and `best_fit`). */
export type PackingStrategy = "bfd" | "bfd_split" | "wrapped" | "best_fit";

/** TRL packs within the batches of `datasets.map`: no row of its strategies holds examples of two of them. */
const batchOfTrl = 1000;

/** Packed rows, and what became of the tokens. */
export interface Packing {
  packs: Packs;
  report: PackingReport;
}

/** What packing does to a data set. */
export interface PackingReport {
  strategy: PackingStrategy;
  /** Packed rows. */
  rows: number;
  /** Tokens in them. */
  keptTokens: number;
  /** Tokens cut off at the end of examples longer than a row. */
  cutTokens: number;
  /** Examples that lie in more than one row. */
  splitExamples: number;
  /** Tokens of those examples. */
  splitTokens: number;
  /** keptTokens / (rows · tokens of a row). */
  fillRate: number;
}

/**
 * Lays examples into rows of at most `seqLength` tokens. `bfd`, `bfd_split` and `wrapped` are TRL's to the row; `best_fit` looks at
 * the whole set at once and cuts nothing that `seqLength` itself does not.
 *
 * @param lengths tokens of each example; one without tokens is in no row
 */
export function pack(lengths: ArrayLike<number>, seqLength: number, strategy: PackingStrategy): Packing {
  const rows: Piece[][] = [];
  const batch = strategy === "best_fit" ? lengths.length : batchOfTrl;
  for (let first = 0; first < lengths.length; first += batch) {
    const examples = Array.from({ length: Math.min(batch, lengths.length - first) }, (_, n) => first + n);
    for (const row of packBatch(wholePieces(examples, lengths), seqLength, strategy)) rows.push(row);
  }
  return { packs: new Packs(rows), report: reportOf(rows, lengths, { seqLength, strategy }) };
}

function packBatch(whole: readonly Piece[], seqLength: number, strategy: PackingStrategy): Piece[][] {
  switch (strategy) {
    case "bfd":
    case "best_fit":
      return bestFitDecreasing(
        whole.map((piece) => ({ ...piece, length: Math.min(piece.length, seqLength) })),
        seqLength,
      );
    case "bfd_split":
      return bestFitDecreasing(
        whole.flatMap((piece) => fragments(piece, seqLength)),
        seqLength,
      );
    case "wrapped":
      return wrapped(whole, seqLength);
  }
}

function wholePieces(examples: readonly number[], lengths: ArrayLike<number>): Piece[] {
  return examples.flatMap((example) => {
    const length = lengths[example] as number;
    return length === 0 ? [] : [{ example, start: 0, length }];
  });
}

/** A piece cut into runs of `seqLength` tokens; the last is what is left. */
function fragments({ example, start: first, length: whole }: Piece, seqLength: number): Piece[] {
  return Array.from({ length: Math.ceil(whole / seqLength) }, (_, n) => {
    const start = n * seqLength;
    return { example, start: first + start, length: Math.min(seqLength, whole - start) };
  });
}

/** All tokens end to end, cut every `seqLength` tokens wherever that falls. */
function wrapped(whole: readonly Piece[], seqLength: number): Piece[][] {
  const rows: Piece[][] = [];
  let room = 0;
  for (const { example, length } of whole) {
    for (let start = 0; start < length; ) {
      if (room === 0) {
        rows.push([]);
        room = seqLength;
      }
      const taken = Math.min(room, length - start);
      rows.at(-1)?.push({ example, start, length: taken });
      start += taken;
      room -= taken;
    }
  }
  return rows;
}

function reportOf(
  rows: readonly (readonly Piece[])[],
  lengths: ArrayLike<number>,
  { seqLength, strategy }: { seqLength: number; strategy: PackingStrategy },
): PackingReport {
  const report = { strategy, rows: rows.length, keptTokens: 0, cutTokens: 0, splitExamples: 0, splitTokens: 0 };
  const placed = new Int32Array(lengths.length);
  const pieces = new Int32Array(lengths.length);
  for (const { example, length } of rows.flat()) {
    report.keptTokens += length;
    placed[example] = (placed[example] as number) + length;
    pieces[example] = (pieces[example] as number) + 1;
  }
  for (let n = 0; n < lengths.length; n += 1) {
    const length = lengths[n] as number;
    report.cutTokens += length - (placed[n] as number);
    if ((pieces[n] as number) < 2) continue;
    report.splitExamples += 1;
    report.splitTokens += length;
  }
  return { ...report, fillRate: rows.length === 0 ? 0 : report.keptTokens / (rows.length * seqLength) };
}
