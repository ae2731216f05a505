// A benchmark as a table of Markdown, as llama-bench writes one, and a line about the machine.
import { terminalText } from "@tunesmith/core";
import type { Benchmark, Limits } from "../bench/measure.ts";
import { bytes, duration, percent } from "./format.ts";

/** Where it was measured. */
export interface Host {
  version: string;
  platform: string;
  arch: string;
  cpu: string;
  instructionSet: string;
  threads: number;
  totalMemory: number;
  cudaDevice: string | null;
  node: string;
}

const limitNames: Readonly<Record<keyof Limits, string>> = { products: "matrix products", memory: "memory" };

/** The table, the limits that its shares are of, and the machine. */
export function benchLines(size: string, { limits, tests }: Benchmark, host: Host, seconds: number): string {
  const rows = tests.map(({ test, tokensPerSecond, peakBytes, limit, share }) => [
    test,
    tokensPerSecond.toFixed(tokensPerSecond < 100 ? 1 : 0),
    peakBytes === null ? "–" : bytes(peakBytes),
    share === null || limit === null ? "–" : `${percent(share)} of ${limitNames[limit]}`,
  ]);
  const memory = limits.memory === null ? "" : `, memory ${(limits.memory / 1e9).toFixed(1)} GB/s read and written`;
  return [
    ...table(["test", "tokens/s", "peak memory", "share of the limit"], rows),
    "",
    `shape    ${size}, random weights, medians of 5`,
    `limits   matrix products ${(limits.products / 1e9).toFixed(0)} GFLOP/s${memory}, measured here`,
    `host     ${terminalText(hostLine(host))}`,
    `took     ${duration(seconds)}`,
    "",
  ].join("\n");
}

function hostLine({ version, platform, arch, cpu, instructionSet, threads, totalMemory, cudaDevice, node }: Host) {
  const gpu = cudaDevice === null ? "" : `, ${cudaDevice}`;
  return `${cpu} (${instructionSet}, ${threads} threads), ${bytes(totalMemory)}${gpu}, ${platform} ${arch}, Node ${node}, tunesmith ${version}`;
}

/** Cells below each other; the first column to the left, the others to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, n) => (n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, n) => (n === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)];
}
