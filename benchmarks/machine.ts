// What a result has to say about where it was measured.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { systemInfo } from "@tunesmith/native";

/** What a result has to say about where it was measured. No path and no host name. */
export function machine(): Record<string, unknown> {
  const cpu = /^model name\s*:\s*(.+)$/mu.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown";
  const model = /^model\s*:\s*(\d+)$/mu.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown";
  const git = (...args: string[]) => execFileSync("git", args, { cwd: import.meta.dirname, encoding: "utf8" }).trim();
  return {
    cpu: `${cpu} (model ${model})`,
    cores: availableParallelism(),
    memory_bytes: totalmem(),
    node: process.version,
    system: systemInfo(),
    commit: git("rev-parse", "HEAD"),
    clean: git("status", "--porcelain") === "",
    date: new Date().toISOString(),
  };
}
