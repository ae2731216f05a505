// The first line of every command: what runs here.
import type { DeviceOptions } from "@tunesmith/core";
import { type SystemInfo, systemInfo } from "@tunesmith/sdk";
import pc from "picocolors";
import { plural } from "./format.ts";

/** The first line of every command: what runs here, and where `auto` falls back to the CPU, why. */
export function environmentLine({ device = "auto", threads }: DeviceOptions, info: SystemInfo = systemInfo()): string {
  const { version, cudaDevice, cudaMissing, instructionSet, threads: cores } = info;
  const cpu = `cpu (${instructionSet}), ${plural(threads ?? cores, "thread")}`;
  const onCpu = device === "cpu" || (device === "auto" && cudaDevice === null);
  const note = device === "auto" && cudaMissing !== null ? ` ${pc.dim(`(${cudaMissing})`)}` : "";
  return `${pc.bold("tunesmith")} ${version}, ${onCpu ? cpu : `cuda (${cudaDevice ?? "not found"})`}${note}`;
}
