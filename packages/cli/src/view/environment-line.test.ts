import { stripVTControlCharacters } from "node:util";
import type { SystemInfo } from "@tunesmith/sdk";
import { expect, test } from "vitest";
import { environmentLine } from "./environment-line.ts";

const machine: SystemInfo = {
  version: "1.2.3",
  platform: "linux",
  arch: "x64",
  backends: ["cpu"],
  cudaDevice: null,
  cudaMissing: "[cuda] expected the NVIDIA driver, got none",
  instructionSet: "avx2",
  threads: 8,
  totalMemory: 1,
  availableMemory: 1,
};
const line = (device: "cuda" | "cpu" | "auto", info: SystemInfo, threads: number | null = null): string =>
  stripVTControlCharacters(environmentLine({ device, threads }, info));

test("says where auto runs, and why where that is not the GPU that is there", () => {
  expect(line("auto", machine)).toBe("tunesmith 1.2.3, cpu (avx2), 8 threads");
  const old = { ...machine, cudaMissing: "[cuda] expected the driver R580 or newer, got 12.2; update it" };
  expect(line("auto", old)).toBe(
    "tunesmith 1.2.3, cpu (avx2), 8 threads ([cuda] expected the driver R580 or newer, got 12.2; update it)",
  );
  expect(line("cpu", machine, 2)).toBe("tunesmith 1.2.3, cpu (avx2), 2 threads");
});

test("names the CUDA device", () => {
  const withDevice = { ...machine, backends: ["cuda", "cpu"], cudaDevice: "NVIDIA H100", cudaMissing: null };
  expect(line("auto", withDevice)).toBe("tunesmith 1.2.3, cuda (NVIDIA H100)");
  expect(line("cpu", withDevice)).toBe("tunesmith 1.2.3, cpu (avx2), 8 threads");
  expect(line("cuda", machine)).toBe("tunesmith 1.2.3, cuda (not found)");
});
