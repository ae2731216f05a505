// npm run gpu:check [-- --emulated] [--wheels DIR]: packs, runs run.sh on this machine and sums up; --emulated rehearses all of it on the emulated device at toy sizes, peers on the CPU.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pack } from "./lib/gpu-pack.mjs";
import { bin, root, run, runNode } from "./lib/shell.mjs";

const { values } = parseArgs({
  options: { emulated: { type: "boolean", default: false }, wheels: { type: "string" }, out: { type: "string" } },
});

/** Where the peers of a rehearsal are; none where TUNESMITH_PEER_ENV names no environment. */
function peerPython() {
  const python = join(process.env.TUNESMITH_PEER_ENV ?? "", "bin/python");
  if (process.env.TUNESMITH_PEER_ENV !== undefined && existsSync(python)) return python;
  console.log("skipped: the peers (TUNESMITH_PEER_ENV names no Python environment)");
  return "";
}

const rehearsal = () => ({
  BACKEND: "emulated",
  TOY: "1",
  PYTHON: peerPython(),
  NO_COMPILE: "1",
  ROUNDS: "2",
  STEPS: "2",
  OMP_NUM_THREADS: "1",
  // Every suite and golden runs on the emulated device in its own test; here it is the way there that is tried.
  STEMS: process.env.STEMS ?? "rope cross_entropy",
  GOLDENS: process.env.GOLDENS ?? "goldens/llama/lora",
});

async function main() {
  const work = mkdtempSync(join(tmpdir(), "tunesmith-gpu-check-"));
  const results = values.out ?? join(work, "results");
  // A rehearsal leaves the pack of a real run alone.
  const folder = values.emulated ? join(work, "gpu-pack") : "gpu-pack";
  try {
    const packed = await pack({ out: folder, wheels: values.wheels, emulated: values.emulated });
    if (packed !== 0) return packed;
    const env = { OUT: results, ...(values.emulated ? rehearsal() : {}) };
    const { code } = await run(join(values.emulated ? folder : join(root, folder), "run.sh"), [], {
      env,
      inherit: true,
    });
    const summary = await runNode(bin.tsx, ["benchmarks/gpu/summary.ts", results, "--complete"], { inherit: true });
    return code === 0 ? summary.code : code;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

process.exitCode = await main();
