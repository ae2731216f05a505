// Builds the binding of one platform as it is published: optimised across crates, stripped, with kernels where they belong.
import { mkdirSync } from "node:fs";
import { fetchNvcc } from "../lib/cuda.mjs";
import { bin, runNode } from "../lib/shell.mjs";
import { cudaArchs, platformOf, type Target } from "./targets.ts";

/** The file that a target's binary is. */
export const binaryOf = (triple: string): string => `tunesmith.${platformOf(triple)}.node`;

/**
 * Compiles a target's binary into a folder, with the loader and its types beside it.
 *
 * @param options `native`: this machine is of that kind and nothing is cross-compiled, so its C library is the one needed
 */
export async function buildBinary(target: Target, output: string, { native = false } = {}): Promise<void> {
  const missing = target.kernels ? await fetchNvcc() : null;
  if (missing !== null) throw new Error(missing);
  mkdirSync(output, { recursive: true });
  const place = ["--cwd", "packages/native", "--manifest-path", "../../crates/node/Cargo.toml"];
  const made = ["--output-dir", output, "--js", "index.cjs", "--dts", "index.d.cts"];
  const args = [
    "build",
    "--platform",
    "--profile",
    "dist",
    ...(native ? ["--target", target.triple] : compiledFor(target)),
    ...place,
    ...made,
  ];
  const { code } = await runNode(bin.napi, args, { inherit: true, env: kernelSettings(target) });
  if (code !== 0) throw new Error(`[build] expected ${binaryOf(target.triple)}, got exit code ${code} of napi build`);
}

/** The glibc that a binary needs: RHEL 7's, older than every system that Node 20 runs on. */
const glibc = "2.17";

/** How `napi build` is told of a target. */
export function compiledFor({ triple, zig }: Target): string[] {
  if (!zig) return ["--target", triple];
  return ["--target", triple.endsWith("-gnu") ? `${triple}.${glibc}` : triple, "--cross-compile"];
}

/** Where kernels belong, a build without them is an error: no release ships without. */
export function kernelSettings({ kernels }: Pick<Target, "kernels">): Record<string, string> {
  return kernels
    ? { TUNESMITH_REQUIRE_CUDA_KERNELS: "1", TUNESMITH_SKIP_NVCC: "0", TUNESMITH_CUDA_ARCHS: cudaArchs }
    : { TUNESMITH_REQUIRE_CUDA_KERNELS: "0", TUNESMITH_SKIP_NVCC: "1" };
}
