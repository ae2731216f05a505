// What the runs of the curriculum benchmark show: means and spreads over seeds, differences seed by seed, and in words who wins.
import { type ArmName, armNames } from "./arms.ts";
import type { ExactCount } from "./held-out.ts";
import type { RunResult, Settings } from "./run.ts";

/** The result file. */
export interface CurriculumResult {
  benchmark: string;
  machine: Record<string, unknown>;
  settings: Settings;
  seeds: readonly number[];
  /** Rows of each set. */
  sets: { name: string; rows: number; heldOut: number }[];
  /** What the model says of the held-out rows before it is trained, by the name of the set. */
  before: Record<string, { evalLoss: number; exact: ExactCount[] | null }>;
  /** Finished runs; fewer than sets × arms × seeds while some are missing. */
  runs: RunResult[];
}

/** Mean of some runs, and how far they are apart. */
export interface Spread {
  mean: number;
  least: number;
  most: number;
  /** How many runs. */
  count: number;
}

/** What is measured of a run: lower is better for a loss, higher for a share. */
export type Measure = "evalLoss" | "exact";

/** Mean and range of numbers; there is at least one. */
export function spread(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, least: Math.min(...values), most: Math.max(...values), count: values.length };
}

/** Share of the questions that are answered exactly right. */
export function exactShare(counts: readonly ExactCount[]): number {
  const sum = (of: "exact" | "rows") => counts.reduce((total, count) => total + count[of], 0);
  return sum("exact") / sum("rows");
}

/** What a run ends with; null where it is not measured. */
export function final(run: RunResult, measure: Measure): number | null {
  if (measure === "exact") return run.exact === null ? null : exactShare(run.exact);
  return run.points.at(-1)?.evalLoss ?? null;
}

/** The finished runs of an arm. */
export function runsOf({ runs }: CurriculumResult, set: string, arm: ArmName): RunResult[] {
  return runs.filter((run) => run.set === set && run.arm === arm);
}

/**
 * Differences of an arm from `random`, one for each seed that both have. Equal seeds share the adapter's start and the held-out rows, so
 * a difference has less noise than the two numbers.
 */
export function differences(result: CurriculumResult, set: string, arm: ArmName, measure: Measure): number[] {
  const others = new Map(runsOf(result, set, "random").map((run) => [run.seed, final(run, measure)]));
  return runsOf(result, set, arm).flatMap((run) => {
    const [mine, other] = [final(run, measure), others.get(run.seed) ?? null];
    return mine === null || other === null ? [] : [mine - other];
  });
}

/** How an arm compares with `random`: `better` or `worse` only where every seed says so, and there are all of them. */
export function verdict(found: readonly number[], measure: Measure, seeds: number): string {
  if (found.length < seeds) return `${found.length} of ${seeds} seeds are in`;
  const better = measure === "evalLoss" ? (by: number) => by < 0 : (by: number) => by > 0;
  const worse = measure === "evalLoss" ? (by: number) => by > 0 : (by: number) => by < 0;
  if (found.every(better)) return `better with each of ${seeds} seeds`;
  if (found.every(worse)) return `worse with each of ${seeds} seeds`;
  return "not told apart: the seeds disagree";
}

/** `0.512 (0.498 – 0.530)`. */
export function spreadText({ mean, least, most, count }: Spread, digits: number, factor = 1): string {
  const text = (value: number) => (factor * value).toFixed(digits);
  return count === 1 ? text(mean) : `${text(mean)} (${text(least)} – ${text(most)})`;
}

/** One table for each set, in Markdown. */
export function tables(result: CurriculumResult): string {
  return result.sets.map(({ name }) => table(result, name)).join("\n\n");
}

function table(result: CurriculumResult, set: string): string {
  const { seeds, before } = result;
  const hasExact = before[set]?.exact != null;
  const loss = (arm: ArmName) => {
    const found = differences(result, set, arm, "evalLoss");
    const by = found.length === 0 || arm === "random" ? "" : signed(spread(found), 3);
    return [by, arm === "random" ? "" : verdict(found, "evalLoss", seeds.length)];
  };
  const cell = (arm: ArmName, measure: Measure, digits: number, factor: number) => {
    const values = runsOf(result, set, arm).flatMap((run) => final(run, measure) ?? []);
    return values.length === 0 ? "–" : spreadText(spread(values), digits, factor);
  };
  const lines = armNames.map((arm) => {
    const exact = hasExact ? [cell(arm, "exact", 1, 100)] : [];
    return [arm, String(runsOf(result, set, arm).length), cell(arm, "evalLoss", 3, 1), ...loss(arm), ...exact];
  });
  const head = ["arm", "seeds", "eval loss", "less random's", "", ...(hasExact ? ["exact answers, %"] : [])];
  const rows = [head, head.map(() => "---"), ...lines];
  return [`**${set}**`, "", ...rows.map((row) => `| ${row.join(" | ")} |`)].join("\n");
}

/** A mean difference with its sign and range. */
function signed({ mean, least, most, count }: Spread, digits: number): string {
  const text = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
  return count === 1 ? text(mean) : `${text(mean)} (${text(least)} – ${text(most)})`;
}
