// What the runs of the curriculum benchmark show: means and spreads over seeds, differences seed by seed, and in words who wins.
import { type ArmName, armNames } from "./arms.ts";
import type { ExactCount } from "./held-out.ts";
import type { RunResult, Settings } from "./run.ts";

/** The result file. */
export interface CurriculumResult {
  benchmark: string;
  /** Of settings and rows: a run of equal ones need not be run again, wherever it was. */
  key: string;
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

/**
 * How an arm compares with `random`, in words. Beyond the spread: the worst seed of one is better than the best seed of the other. Where
 * seeds are missing, nothing is said but that.
 */
export function verdict(result: CurriculumResult, set: string, arm: ArmName, measure: Measure): string {
  const { seeds } = result;
  const found = differences(result, set, arm, measure);
  if (found.length < seeds.length) return `${found.length} of ${seeds.length} seeds are in`;
  const gains = found.map((difference) => (measure === "evalLoss" ? -difference : difference));
  const word = gains.every((gain) => gain > 0) ? "better" : "worse";
  if (word === "worse" && !gains.every((gain) => gain < 0)) return "not told apart from random: the seeds disagree";
  const of = (name: ArmName) => spread(runsOf(result, set, name).flatMap((run) => final(run, measure) ?? []));
  const [mine, other] = [of(arm), of("random")];
  const areApart = mine.most < other.least || mine.least > other.most;
  return areApart ? `${word} than random, beyond the spread` : `${word} with each seed, within the spread`;
}

/** `0.512 (0.498 – 0.530)`. */
export function spreadText({ mean, least, most, count }: Spread, digits: number, factor = 1): string {
  const text = (value: number) => (factor * value).toFixed(digits);
  return count === 1 ? text(mean) : `${text(mean)} (${text(least)} – ${text(most)})`;
}

/** One table for each set, in Markdown. */
export function tables(result: CurriculumResult): string {
  return result.sets.map(({ name }) => `**${name}**\n\n${table(result, name)}`).join("\n\n");
}

/** The table of one set. */
export function table(result: CurriculumResult, set: string): string {
  const measures: Measure[] = result.before[set]?.exact == null ? ["evalLoss"] : ["evalLoss", "exact"];
  const cells = (arm: ArmName) => measures.flatMap((measure) => measured(result, set, arm, measure));
  const lines = armNames.map((arm) => [arm, String(runsOf(result, set, arm).length), ...cells(arm)]);
  const titles = { evalLoss: ["eval loss", "compared"], exact: ["exact answers, %", "compared"] };
  const head = ["rows", "seeds", ...measures.flatMap((measure) => titles[measure])];
  return [head, head.map(() => "---"), ...lines].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** What an arm ends with, and how that compares. */
function measured(result: CurriculumResult, set: string, arm: ArmName, measure: Measure): [string, string] {
  const values = runsOf(result, set, arm).flatMap((run) => final(run, measure) ?? []);
  const [digits, factor] = measure === "exact" ? [0, 100] : [3, 1];
  const text = values.length === 0 ? "–" : spreadText(spread(values), digits, factor);
  if (arm === "random") return [text, ""];
  const by = differences(result, set, arm, measure).map((difference) => factor * difference);
  const mean = by.length === 0 ? "" : `${signed(spread(by).mean, digits)}, `;
  return [text, `${mean}${verdict(result, set, arm, measure)}`];
}

/** A difference with its sign. */
function signed(value: number, digits: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
}
