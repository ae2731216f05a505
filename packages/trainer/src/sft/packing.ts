// Whether examples are rows of their own, or packed into rows of one length.
import type { ParsedSFTConfig } from "@tunesmith/core";
import { type PackingReport, type PreparedData, pack, TrainingRows } from "@tunesmith/data";

/** Options that decide how rows are laid out. */
export type PackingOptions = Pick<ParsedSFTConfig, "maxLength" | "packingStrategy">;

/** The rows that batches are made of, and the data set with what packing did to it. */
export interface ArrangedRows {
  rows: TrainingRows;
  data: PreparedData;
}

/** Lays the examples of a data set out as rows. Unpacked rows are the examples. */
export async function arrangeRows(
  data: PreparedData,
  packed: boolean,
  { maxLength, packingStrategy }: PackingOptions,
): Promise<ArrangedRows> {
  const { examples, report } = data;
  if (!packed) return { rows: new TrainingRows(examples), data };
  const longest = maxLength ?? report.tokens.max;
  const { packs, report: packing } = await pack(examples.lengths, longest, packingStrategy);
  return { rows: new TrainingRows(examples, packs), data: { ...data, report: { ...report, packing } } };
}

/** Tokens that an example may have: a strategy that cuts rows itself wants them whole. */
export function exampleLength({ maxLength, packingStrategy }: PackingOptions, packed: boolean): number | null {
  return packed && (packingStrategy === "bfd_split" || packingStrategy === "wrapped") ? null : maxLength;
}

/** What packing did that may surprise, in words. */
export function packingWarning({ splitExamples, splitTokens, strategy }: PackingReport): string {
  return `packing ${strategy} splits ${splitExamples} rows (${splitTokens} tokens) over several packed rows: what comes after a cut is learned without what stood before it; best_fit splits none`;
}
