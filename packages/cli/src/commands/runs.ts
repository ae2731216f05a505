// `tunesmith runs list` and `runs compare`: what the folders of runs tell, without a model.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import {
  CheckpointError,
  escapeHtml,
  FileSystemError,
  htmlPage,
  OptionError,
  replaceFile,
  terminalText,
} from "@tunesmith/core";
import { curveChart, curveOf, newestCheckpoint, type RunRecord, readRun } from "@tunesmith/trainer";
import { display } from "../view/display.ts";
import { comparedLines, differingOptions, figuresOf, listLines, type RunState } from "../view/runs-lines.ts";
import type { Streams } from "./train.ts";

/** `tunesmith runs list`: the runs in a folder, the newest name last. Gives the exit code. */
export async function listRuns(folder: string, flags: { json?: boolean }, { out, err }: Streams): Promise<number> {
  const names = await readdir(folder, { withFileTypes: true }).catch((cause: Error) => {
    throw new FileSystemError(`[${folder}] expected a folder of runs, got ${cause.message}; name one`, { cause });
  });
  const runs: RunState[] = [];
  for (const entry of names.filter((one) => one.isDirectory()).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    // What is no run is none of this command's business; what is one and cannot be read is told.
    const inside = await readdir(path).catch((): string[] => []);
    if (!inside.includes("config.resolved.yaml")) continue;
    const run = await readRun(path).catch((error: Error) => error);
    if (run instanceof Error) err.write(`warning: ${terminalText(run.message)}\n`);
    else runs.push({ ...run, resumable: await resumableStep(path) });
  }
  if (flags.json === true) for (const run of runs) out.write(`${JSON.stringify(figuresOf(run))}\n`);
  else for (const line of listLines(runs, display(folder))) out.write(`${line}\n`);
  return 0;
}

/** `tunesmith runs compare`: which options of runs differ, and what came of each. Gives the exit code. */
export async function compareRuns(
  folders: readonly string[],
  { json = false, html }: { json?: boolean; html?: string },
  { out }: Streams,
): Promise<number> {
  if (folders.length < 2)
    throw new OptionError(
      `[tunesmith runs compare] expected two run folders or more, got ${folders.length}; name them`,
    );
  const runs: RunState[] = [];
  for (const folder of folders) runs.push({ ...(await readRun(folder)), resumable: await resumableStep(folder) });
  if (html !== undefined) await replaceFile(html, comparePage(runs));
  if (json) out.write(`${JSON.stringify({ options: differingOptions(runs), runs: runs.map(figuresOf) })}\n`);
  else for (const line of comparedLines(runs)) out.write(`${line}\n`);
  if (html !== undefined && !json) out.write(`saved  ${terminalText(display(html))}\n`);
  return 0;
}

/** The step that a run goes on from, its checkpoint read and found whole; null where it has none. */
async function resumableStep(folder: string): Promise<number | null> {
  try {
    const checkpoint = await newestCheckpoint(folder, () => {});
    return checkpoint?.trainer.global_step ?? null;
  } catch (error) {
    // All that there are are damaged.
    if (CheckpointError.isInstance(error)) return null;
    throw error;
  }
}

const style = `body { font: 15px/1.6 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
h2 { font-size: 1.1rem } table { border-collapse: collapse } td, th { border-top: 1px solid #8884; padding: .3rem .9rem .3rem 0; text-align: left; overflow-wrap: anywhere } svg { width: 100%; height: auto }`;

/** Overlaid curves, and the options that differ. */
function comparePage(runs: readonly RunRecord[]): string {
  const chart = (title: string, of: "logs" | "evaluations", metric: string) =>
    curveChart(
      title,
      runs.map((run) => ({ name: run.name, points: curveOf(run[of], metric) })),
    );
  const charts = [
    chart("train loss", "logs", "loss"),
    chart("eval loss", "evaluations", "eval_loss"),
    chart("learning rate", "logs", "learning_rate"),
  ];
  const head = `<tr><th>option${runs.map(({ name }) => `<th>${escapeHtml(name)}`).join("")}`;
  const rows = Object.entries(differingOptions(runs)).map(
    ([name, values]) =>
      `<tr><th>${escapeHtml(name)}${values.map((value) => `<td>${escapeHtml(JSON.stringify(value))}`).join("")}`,
  );
  const title = runs.map(({ name }) => name).join(", ");
  return htmlPage(
    title,
    style,
    `${charts.join("")}<h2>Options that differ</h2>\n<table>\n${[head, ...rows].join("\n")}\n</table>`,
  );
}
