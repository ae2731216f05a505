// The arms of a sweep as a table for a terminal, the best first.
import { join } from "node:path";
import { terminalText } from "@tunesmith/core";
import pc from "picocolors";
import { type ArmState, bestOf } from "../sweep/sweep-state.ts";
import { display } from "./display.ts";
import { significant } from "./format.ts";

/** What an arm varies, in a line. */
export function armLine({ name, values }: Pick<ArmState, "name" | "values">): string {
  const options = Object.entries(values).map(([option, value]) => `${option} ${shown(value)}`);
  return terminalText([name, ...options].join("  "));
}

/** The table of a sweep, the best arm first, with what to do next. */
export function sweepLines(arms: readonly ArmState[], folder: string): string {
  const ranked = [...arms].sort((a, b) => lossOf(a) - lossOf(b));
  const options = [...new Set(arms.flatMap(({ values }) => Object.keys(values)))];
  const head = ["arm", ...options, "eval loss", "at step", "state"];
  const rows = ranked.map((arm) => {
    const best = bestOf(arm);
    const found = best === null ? ["", ""] : [significant(best.evalLoss), String(best.step)];
    return [arm.name, ...options.map((option) => shown(arm.values[option])), ...found, arm.state].map((cell) =>
      terminalText(cell),
    );
  });
  const widths = head.map((title, n) => Math.max(title.length, ...rows.map((row) => (row[n] ?? "").length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, n) => cell.padEnd(widths[n] ?? 0))
      .join("  ")
      .trimEnd();
  const best = ranked.find((arm) => bestOf(arm) !== null);
  const next = best?.state === "done" ? nextLines(join(folder, best.name)) : [];
  const failed = arms.flatMap(({ name, state, reason }) =>
    state === "failed" ? [`failed   ${name}: ${reason ?? ""}`] : [],
  );
  return [pc.dim(line(head)), ...rows.map(line), ...failed.map((text) => terminalText(text)), ...next, ""].join("\n");
}

function nextLines(run: string): string[] {
  return [
    `next     ${pc.bold(`tunesmith chat ${display(run)}`)}`,
    `         ${pc.bold(`tunesmith train --config ${display(join(run, "config.resolved.yaml"))} --output-dir runs/NAME`)}`,
  ];
}

function lossOf(arm: ArmState): number {
  return bestOf(arm)?.evalLoss ?? Number.POSITIVE_INFINITY;
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}
