// Metrics of rows as numerators and denominators, so that the same metric of any set of rows is a sum over it.
import type { Better } from "../loop/metrics.ts";

/** A metric by row: of any set of rows it is Σ sum / Σ weight. */
export interface RowSums {
  /** `[rows]`. */
  sum: Float64Array;
  /** `[rows]`; 0 where the metric says nothing of a row. */
  weight: Float64Array;
}

/** A metric of an evaluation, by row. */
export interface RowValues extends RowSums {
  metric: string;
  /** Which values are better; null: it does not say. */
  better: Better;
  /** Whether it is the exponential of the quotient. */
  isExponential: boolean;
}

/** A metric without a row. */
export function emptySums(rows: number): RowSums {
  return { sum: new Float64Array(rows), weight: new Float64Array(rows) };
}

/** The metric of a set of rows; NaN where it says nothing of any of them. */
export function quotientOf({ isExponential }: Pick<RowValues, "isExponential">, sum: number, weight: number): number {
  const quotient = sum / weight;
  return isExponential ? Math.exp(quotient) : quotient;
}
