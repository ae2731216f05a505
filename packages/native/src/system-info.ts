// Facts about this build on this machine.
import { availableParallelism, totalmem } from "node:os";
import { native } from "./binding.ts";

/** This build on this machine. */
export interface SystemInfo {
  /** Version of the native binary. */
  version: string;
  /** As `process.platform`. */
  platform: string;
  /** As `process.arch`. */
  arch: string;
  /** Backends that can be used here, best first. */
  backends: string[];
  /** Name of the CUDA device; null where there is none. */
  cudaDevice: string | null;
  /** What CUDA lacks here; null where it can be used. */
  cudaMissing: string | null;
  /** Instruction set the CPU backend uses: `avx512`, `avx2` or `portable`. */
  instructionSet: string;
  /** Threads the process may use at once: the default of a session. */
  threads: number;
  /** Bytes. */
  totalMemory: number;
  /** Bytes that can be allocated now, within the limits of a container. */
  availableMemory: number;
}

/** Facts about this build and this machine. Throws `BinaryMissingError` where the binary is missing. */
export function systemInfo(): SystemInfo {
  return {
    ...native((library) => library.nativeInfo()),
    platform: process.platform,
    arch: process.arch,
    threads: availableParallelism(),
    totalMemory: totalmem(),
    availableMemory: process.availableMemory(),
  };
}
