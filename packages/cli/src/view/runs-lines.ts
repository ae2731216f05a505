// Runs beside each other, as lines for a terminal and as figures.
import { terminalText } from "@tunesmith/core";
import { curveOf, type RunRecord } from "@tunesmith/trainer";
import pc from "picocolors";
import { duration, plural, significant } from "./format.ts";
import { sparkline } from "./sparkline.ts";

/** A run, and where it can be gone on from. */
export interface RunState extends RunRecord {
  /** Step of the newest whole checkpoint; null without one. */
  resumable: number | null;
}

/** What is compared of a run, as JSON has it. */
export function figuresOf({ path, name, report, logs, evaluations, resumable, options }: RunState) {
  const last = logs.at(-1);
  return {
    name,
    path,
    model: options.model ?? null,
    finished: report !== null,
    stoppedBy: report?.stoppedBy ?? null,
    step: report?.steps ?? last?.step ?? 0,
    resumable,
    loss: last?.loss ?? null,
    trainLoss: report?.trainLoss ?? null,
    evalLoss: report?.eval.after?.evalLoss ?? evaluations.at(-1)?.eval_loss ?? null,
    best: report?.eval.best ?? null,
    bestStep: report?.eval.bestStep ?? null,
    tokens: report?.tokens ?? last?.num_tokens ?? null,
    seconds: report?.seconds ?? null,
    peakMemoryBytes: report?.peakMemoryBytes ?? null,
    lossHash: report === null ? null : report.lossHash,
    health: report?.health.map(({ rule }) => rule) ?? [],
  };
}

/** Cells in columns of one width each. Names and values are those of files. */
function columns(given: readonly (readonly string[])[]): string[] {
  const rows = given.map((row) => row.map((cell) => terminalText(cell)));
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => [...(row[column] ?? "")].length)));
  const padded = (cell: string, column: number) => cell + " ".repeat((widths[column] ?? 0) - [...cell].length);
  return rows.map((row) => row.map(padded).join("  ").trimEnd());
}

const known = (value: number | null) => (value === null ? "" : significant(value));

/** A line for each run: how far it is, its loss, and whether it can be gone on with. */
export function listLines(runs: readonly RunState[], folder: string): string[] {
  if (runs.length === 0) return [`no runs in ${folder}`];
  const rows = runs.map((run) => {
    const { name, finished, step, resumable, loss, evalLoss } = figuresOf(run);
    const curve = sparkline(
      curveOf(run.logs, "loss").map(([, value]) => value),
      20,
    );
    const state = finished ? "finished" : "stopped or running";
    return [
      name,
      state,
      plural(step, "step"),
      curve,
      known(loss),
      known(evalLoss),
      resumable === null ? "no" : `from step ${resumable}`,
    ];
  });
  const [head = "", ...lines] = columns([["run", "state", "steps", "loss", "last", "eval", "resumable"], ...rows]);
  return [pc.dim(head), ...lines];
}

/** Options whose values differ between runs, each with its values in their order; where a run goes is no option of what it does. */
export function differingOptions(runs: readonly RunRecord[]): Record<string, unknown[]> {
  const names = [...new Set(runs.flatMap(({ options }) => Object.keys(options)))].filter(
    (name) => name !== "outputDir",
  );
  const values = names.map((name) => [name, runs.map(({ options }) => options[name] ?? null)] as const);
  return Object.fromEntries(values.filter(([, all]) => new Set(all.map((value) => JSON.stringify(value))).size > 1));
}

/** Runs beside each other: their curves on one scale, what came of them, which options differ. */
export function comparedLines(runs: readonly RunState[]): string[] {
  const all = runs.map((run) => figuresOf(run));
  const losses = runs.map(({ logs }) => curveOf(logs, "loss").map(([, value]) => value));
  const text = (of: (figures: (typeof all)[number]) => string) => all.map(of);
  const rows = [
    ["", ...text(({ name }) => name)],
    ["loss", ...losses.map((values) => sparkline(values, 24, losses.flat()))],
    [
      "state",
      ...text(({ finished, stoppedBy }) =>
        finished ? `finished (${(stoppedBy ?? "").replaceAll("_", " ")})` : "stopped or running",
      ),
    ],
    ["steps", ...text(({ step }) => String(step))],
    ["last loss", ...text(({ loss }) => known(loss))],
    ["eval loss", ...text(({ evalLoss }) => known(evalLoss))],
    ["best", ...text(({ best, bestStep }) => (best === null ? "" : `${known(best)} at step ${bestStep}`))],
    ["tokens", ...text(({ tokens }) => (tokens === null ? "" : String(tokens)))],
    ["time", ...text(({ seconds }) => (seconds === null ? "" : duration(seconds)))],
    ["loss hash", ...text(({ lossHash }) => lossHash?.slice(0, 12) ?? "")],
    ["health", ...text(({ health }) => health.join(", "))],
  ];
  const options = Object.entries(differingOptions(runs)).map(([name, values]) => [
    name,
    ...values.map((value) => (typeof value === "string" ? value : JSON.stringify(value))),
  ]);
  const lines = columns([
    ...rows.filter(([, ...cells], n) => n === 0 || cells.some((cell) => cell !== "")),
    ...options,
  ]);
  const split = lines.length - options.length;
  return [
    ...lines.slice(0, split),
    pc.dim(options.length === 0 ? "no option differs" : "options that differ:"),
    ...lines.slice(split),
  ];
}
