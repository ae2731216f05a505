// Tables of an evaluation: every metric of a set of rows, of one model or of two next to each other.
import type { Better } from "../loop/metrics.ts";
import { type BootstrapOptions, type Interval, intervals } from "./bootstrap.ts";
import { quotientOf, type RowValues } from "./sums.ts";

/** A metric of a set of rows. */
export interface MetricValue {
  value: number;
  /** Confidence interval; null where fewer than two rows have the metric. */
  interval: Interval | null;
}

/** One metric of a table. */
export interface EvaluatedMetric {
  /** `loss` (nats per token), `perplexity`, `tokenAccuracy`, `exactMatch`, `rougeL` (shares, 0 to 1), or the name of one's own. */
  metric: string;
  /** Which values are better; null: it does not say. */
  better: Better;
  /** Rows that have the metric. */
  rows: number;
  model: MetricValue;
  /** The base model on the same rows; null without one. */
  base: MetricValue | null;
  /** The model's value less the base's, with the interval of the difference (paired); null without a base. */
  difference: MetricValue | null;
}

/** The metrics of a set of rows. */
export interface EvaluationTable {
  /** Value of the column `groupBy`; null for all rows. */
  group: string | null;
  rows: number;
  metrics: EvaluatedMetric[];
}

/** The table of a set of rows. Metrics that none of them has are left out. */
export async function tableOf(
  group: string | null,
  models: readonly (readonly RowValues[])[],
  options: BootstrapOptions,
): Promise<EvaluationTable> {
  const { rows } = options;
  const found = await intervals(models, options);
  const [first = [], second] = models;
  const metrics = first.flatMap((column, n): EvaluatedMetric[] => {
    const { metric, better } = column;
    const counted = rows.filter((row) => (column.weight[row] as number) > 0).length;
    if (counted === 0) return [];
    const [value, other] = [total(column, rows), second?.[n] === undefined ? null : total(second[n], rows)];
    const { model, base, difference } = found[n] ?? { model: null, base: null, difference: null };
    return [
      {
        ...{ metric, better, rows: counted },
        model: { value, interval: model },
        base: other === null ? null : { value: other, interval: base },
        difference: other === null ? null : { value: value - other, interval: difference },
      },
    ];
  });
  return { group, rows: rows.length, metrics };
}

function total(column: RowValues, rows: Int32Array): number {
  let [sum, weight] = [0, 0];
  for (const row of rows) {
    sum += column.sum[row] as number;
    weight += column.weight[row] as number;
  }
  return quotientOf(column, sum, weight);
}
