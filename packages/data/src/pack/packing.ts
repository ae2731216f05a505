// How examples are laid into rows of one length, and what that costs.
import { slices } from "@tunesmith/core";
import { bestFitDecreasing } from "./best-fit.ts";
import { PackBuilder, type Packs, PieceBuilder, type Pieces } from "./packs.ts";

/** How examples are laid into rows (names of TRL's `packing_strategy`, and `best_fit`). */
export type PackingStrategy = "bfd" | "bfd_split" | "wrapped" | "best_fit";

/** TRL packs within the batches of `datasets.map`: no row of its strategies holds examples of two of them. */
export const batchOfTrl = 1000;

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
 * the whole set at once and cuts nothing that `seqLength` itself does not. The event loop turns in between.
 *
 * @param lengths tokens of each example; one without tokens is in no row
 */
export async function pack(lengths: ArrayLike<number>, seqLength: number, strategy: PackingStrategy): Promise<Packing> {
  const packs = new PackBuilder();
  const batch = strategy === "best_fit" ? lengths.length : batchOfTrl;
  for (let first = 0; first < lengths.length; first += batch) {
    const examples = { first, end: Math.min(lengths.length, first + batch) };
    if (strategy === "wrapped") wrap(lengths, examples, seqLength, packs);
    else await bestFitDecreasing(await pieces(lengths, examples, seqLength, strategy), seqLength, packs);
    if (slices.isOver) await slices.turn();
  }
  const { packs: rows, pieces: placed } = await packs.finish();
  return { packs: rows, report: await reportOf(placed, lengths, { rows: rows.length, seqLength, strategy }) };
}

/** Examples by their numbers, `end` not among them. */
interface Range {
  first: number;
  end: number;
}

/** Examples as pieces that fit into a row: the first tokens of a longer one, or all of them, cut into several. */
async function pieces(
  lengths: ArrayLike<number>,
  { first, end }: Range,
  seqLength: number,
  strategy: PackingStrategy,
): Promise<Pieces> {
  const found = new PieceBuilder();
  await slices.each(end - first, (from, to) => {
    for (let example = first + from; example < first + to; example += 1) {
      const whole = lengths[example] as number;
      const kept = strategy === "bfd_split" ? whole : Math.min(whole, seqLength);
      for (let start = 0; start < kept; start += seqLength)
        found.add(example, start, Math.min(seqLength, kept - start));
    }
  });
  return found.finish();
}

/** All tokens end to end, cut every `seqLength` tokens wherever that falls. */
function wrap(lengths: ArrayLike<number>, { first, end }: Range, seqLength: number, packs: PackBuilder): void {
  let [row, room] = [0, 0];
  for (let example = first; example < end; example += 1) {
    const length = lengths[example] as number;
    for (let start = 0; start < length; ) {
      if (room === 0) {
        row = packs.open();
        room = seqLength;
      }
      const taken = Math.min(room, length - start);
      packs.place(row, example, start, taken);
      start += taken;
      room -= taken;
    }
  }
}

async function reportOf(
  { examples, lengths: placed }: Pieces,
  lengths: ArrayLike<number>,
  { rows, seqLength, strategy }: { rows: number; seqLength: number; strategy: PackingStrategy },
): Promise<PackingReport> {
  const report = { strategy, rows, keptTokens: 0, cutTokens: 0, splitExamples: 0, splitTokens: 0 };
  const kept = new Int32Array(lengths.length);
  const parts = new Int32Array(lengths.length);
  await slices.each(examples.length, (from, to) => {
    for (let n = from; n < to; n += 1) {
      const example = examples[n] as number;
      const length = placed[n] as number;
      report.keptTokens += length;
      kept[example] = (kept[example] as number) + length;
      parts[example] = (parts[example] as number) + 1;
    }
  });
  await slices.each(lengths.length, (from, to) => {
    for (let n = from; n < to; n += 1) {
      const length = lengths[n] as number;
      report.cutTokens += length - (kept[n] as number);
      if ((parts[n] as number) < 2) continue;
      report.splitExamples += 1;
      report.splitTokens += length;
    }
  });
  return { ...report, fillRate: rows === 0 ? 0 : report.keptTokens / (rows * seqLength) };
}
