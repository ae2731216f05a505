// Fetches nvcc from PyPI into the git-ignored `.cuda/`, where no CUDA toolkit is installed: the kernels are compiled with it.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { capture, root, run } from "./shell.mjs";

/** Versions that were tried together; the driver must be of CUDA 13 (R580) to run what they compile. */
const wheels = [
  "nvidia-cuda-nvcc==13.0.88",
  "nvidia-nvvm==13.0.88",
  "nvidia-cuda-crt==13.0.88",
  "nvidia-cuda-runtime==13.0.96",
  "nvidia-cuda-cccl==13.0.85",
];

const folder = join(root, ".cuda");
const stamp = join(folder, ".wheels");

/** True when a toolkit is named by the environment or on the path: the build takes that one. */
const hasToolkit = () =>
  ["TUNESMITH_CUDA_HOME", "CUDA_PATH", "CUDA_HOME"].some((name) => process.env[name]) ||
  capture("nvcc", ["--version"]) !== null;

const fetched = () => existsSync(stamp) && readFileSync(stamp, "utf8") === wheels.join("\n");

/**
 * Makes nvcc available. Resolves to a note for the user when it cannot be had, else to null: without it the build runs on the CPU
 * only, which is no error.
 */
export async function fetchNvcc() {
  const wanted = process.platform === "linux" && process.arch === "x64" && process.env.TUNESMITH_SKIP_NVCC !== "1";
  if (!wanted || fetched() || hasToolkit()) return null;
  console.log("setup: fetching nvcc into .cuda (110 MB, once)");
  const half = `${folder}.part`;
  rmSync(half, { recursive: true, force: true });
  const options = [
    "--quiet",
    "--no-deps",
    "--disable-pip-version-check",
    "--root-user-action=ignore",
    "--target",
    half,
  ];
  const { code, output } = await run("python3", ["-m", "pip", "install", ...options, ...wheels]).catch((error) => ({
    code: 1,
    output: String(error),
  }));
  if (code !== 0) {
    rmSync(half, { recursive: true, force: true });
    const reason = output.trim().split("\n").at(-1) ?? "";
    return `[nvcc] expected nvcc from PyPI, got: ${reason}; this build has no CUDA kernels and runs on the CPU only`;
  }
  rmSync(folder, { recursive: true, force: true });
  renameSync(half, folder);
  writeFileSync(stamp, wheels.join("\n"));
  return null;
}
