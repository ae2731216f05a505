// How many epochs a data set of some size usually takes.

/** How long to train. */
export interface EpochAdvice {
  min: number;
  max: number;
  recommended: number;
  /** What a data set of this size usually teaches. */
  expected: string;
}

/**
 * Epochs that LoRA fine-tuning needs by the size of the data set: 3–5 below a thousand rows, 1–3 below ten thousand, 1 below a
 * hundred thousand, 0.5–1 above. Below a hundred rows the first line is used too.
 */
export function recommendEpochs(rows: number): EpochAdvice {
  if (rows < 1_000) return { min: 3, max: 5, recommended: 3, expected: "format learning and style adaptation" };
  if (rows < 10_000) return { min: 1, max: 3, recommended: 2, expected: "good instruction following" };
  if (rows < 100_000) return { min: 1, max: 1, recommended: 1, expected: "strong domain expertise" };
  return { min: 0.5, max: 1, recommended: 1, expected: "the best quality that data gives" };
}
