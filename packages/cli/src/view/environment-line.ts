// The first line of every command: what runs here.
import type { DeviceOptions } from "@tunesmith/core";
import { type SystemInfo, systemInfo } from "@tunesmith/native";
import pc from "picocolors";
import { plural } from "./format.ts";

/**
 * The first line of every command: what runs here, and where `auto` does not take a GPU that is there, why. A machine without one has
 * nothing to explain; `tunesmith doctor` says what was looked for.
 */
export function environmentLine({ device = "auto", threads }: DeviceOptions, info: SystemInfo = systemInfo()): string {
  const { version, cudaDevice, cudaMissing, instructionSet, threads: cores } = info;
  const cpu = `cpu (${instructionSet}), ${plural(threads ?? cores, "thread")}`;
  const onCpu = device === "cpu" || (device === "auto" && cudaDevice === null);
  const hasUnusedGpu = device === "auto" && cudaMissing !== null && !/\bgot none\b/u.test(cudaMissing);
  const note = hasUnusedGpu ? ` ${pc.dim(`(${cudaMissing})`)}` : "";
  return `${pc.bold("tunesmith")} ${version}, ${onCpu ? cpu : `cuda (${cudaDevice ?? "not found"})`}${note}`;
}
