// How much of what is trained comes from each data set of a mix.
import type { Row } from "../sources/row.ts";

/** What came of one data set of a mix. */
export interface PartReport {
  /** Its file, folder or name. */
  source: string;
  weight: number;
  /** Name of the format its rows were read as; null where none was taken. */
  format: string | null;
  /** Rows that are trained on. */
  kept: number;
  /** Of all rows that are trained on. */
  share: number;
  /** Tokens with a label. */
  trainedTokens: number;
  /** True where the mix ended before its last row: more rows are not read. */
  isCut?: true;
}

/** Counts by the part that rows are of. */
export class PartCounts {
  readonly #counts: { kept: number; trainedTokens: number }[] = [];

  /** Counts a row that is trained on. */
  add({ part = 0 }: Row, trainedTokens: number): void {
    const before = this.#counts[part] ?? { kept: 0, trainedTokens: 0 };
    this.#counts[part] = { kept: before.kept + 1, trainedTokens: before.trainedTokens + trainedTokens };
  }

  /** What came of each part. */
  of(parts: readonly Pick<PartReport, "source" | "weight" | "format" | "isCut">[]): PartReport[] {
    const all = this.#counts.reduce((sum, count) => sum + count.kept, 0);
    return parts.map((part, index) => {
      const { kept, trainedTokens } = this.#counts[index] ?? { kept: 0, trainedTokens: 0 };
      return { ...part, kept, share: kept / Math.max(1, all), trainedTokens };
    });
  }
}
