import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

// The first minutes on a real card are not to be spent on scripts: all of it runs here, on the emulated device.
test("the pack is made, run.sh goes through all its parts, and the summary finds nothing missing", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["scripts/gpu-check.mjs", "--emulated"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  expect(status, `${stdout.slice(-4000)}\n${stderr.slice(-2000)}`).toBe(0);
  for (const part of ["probe", "conformance", "goldens", "sanitizer", "kernels", "training"])
    expect(stdout).toContain(`${part}: exit 0`);
}, 1_200_000);
