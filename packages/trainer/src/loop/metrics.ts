// Metrics: how a recipe declares them, and how sums of micro-batches become the numbers of a line.
import { snakeCase } from "@tunesmith/core";

/** What a trainer reports by name: numbers of a log line, and of an evaluation. A recipe adds its own to both. */
export interface Metrics {
  log: {
    /** What is minimised. */
    loss: number;
  };
  eval: {
    /** The same on held-out rows. */
    evalLoss: number;
  };
}

/** What metrics of the program have given: `exactMatch` is `evalExactMatch`. */
export interface OwnEvalValues {
  readonly [name: `eval${string}`]: number;
}

/**
 * How the values of several micro-batches become one: `ratio` is Σ sum / Σ weight, `mean` the unweighted mean over micro-batches of
 * each one's sum / weight (TRL), `last` the newest. `given` is the mean over those that gave one, a weight of 0 being none: without any the
 * metric is left out of the line. So is what a micro-batch gives under a name that is not declared.
 */
export type Aggregation = "ratio" | "mean" | "last" | "given";

/** Which values of a metric are better; null: it does not say which of two models is better. */
export type Better = "lower" | "higher" | null;

/** The metrics of a recipe, by name in camelCase; `metrics.jsonl` and `metricForBestModel` have them in snake_case. */
export interface DeclaredMetrics<M extends Metrics = Metrics> {
  log: Readonly<Record<keyof M["log"], Aggregation>>;
  eval: Readonly<Record<keyof M["eval"], Better>>;
}

/** Numerator and denominator of a metric. Plain numbers: they are part of a checkpoint. */
export interface MetricSums {
  sum: number;
  weight: number;
}

/** Sums by name of metric. */
export type SumsByName = Record<string, MetricSums>;

/** Values by name of metric. */
export type Values = Readonly<Record<string, number>>;

/** a / b, where nothing over nothing is 0: a micro-batch without a supervised token has loss 0. */
export function ratio(a: number, b: number): number {
  return b === 0 ? 0 : a / b;
}

/** Sum of one number over a list. */
export function total<T>(list: readonly T[], pick: (entry: T) => number): number {
  return list.reduce((sum, entry) => sum + pick(entry), 0);
}

/** Adds one micro-batch to what was collected since the last log line. */
export function collect(log: SumsByName, declared: DeclaredMetrics["log"], given: Readonly<SumsByName>): void {
  for (const name of new Set([...Object.keys(declared), ...Object.keys(given)])) {
    const before = log[name] ?? { sum: 0, weight: 0 };
    log[name] = aggregate(aggregationOf(declared, name), before, given[name] ?? { sum: 0, weight: 0 });
  }
}

function aggregationOf(declared: DeclaredMetrics["log"], name: string): Aggregation {
  return (declared as Readonly<Record<string, Aggregation>>)[name] ?? "given";
}

function aggregate(aggregation: Aggregation, before: MetricSums, { sum, weight }: MetricSums): MetricSums {
  switch (aggregation) {
    case "ratio":
      return { sum: before.sum + sum, weight: before.weight + weight };
    case "mean":
      return { sum: before.sum + ratio(sum, weight), weight: before.weight + 1 };
    case "given":
      return weight === 0 ? before : { sum: before.sum + sum / weight, weight: before.weight + 1 };
    case "last":
      return { sum: ratio(sum, weight), weight: 1 };
  }
}

/** The values of a log line: every declared one, 0 where nothing was collected, and what else was given. */
export function valuesOf(log: Readonly<SumsByName>, declared: DeclaredMetrics["log"]): Metrics["log"] & Values {
  const value = (name: string) => ratio(log[name]?.sum ?? 0, log[name]?.weight ?? 0);
  const isThere = (name: string) => aggregationOf(declared, name) !== "given" || (log[name]?.weight ?? 0) !== 0;
  const names = [...new Set([...Object.keys(declared), ...Object.keys(log)])].filter(isThere);
  return { loss: value("loss"), ...Object.fromEntries(names.map((name) => [name, value(name)])) };
}

/** Values under their names in `metrics.jsonl`. */
export function lineOf(values: Values): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [snakeCase(name), value]));
}
