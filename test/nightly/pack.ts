// The nightly part `pack`: the pack for a GPU is made, run.sh goes through all its parts on the emulated device, and the summary
// finds nothing missing. The first minutes on a real card are not to be spent on scripts.
import { runNode } from "../../scripts/lib/shell.mjs";
import type { Part } from "./part.ts";

/** What run.sh goes through. */
const parts = ["probe", "conformance", "goldens", "sanitizer", "kernels", "training"];

/** One rehearsal; a case is a part of run.sh, or the summary. */
export const pack: Part = {
  what: "The pack for a GPU, rehearsed whole on the emulated device at toy sizes; a case is a part of `run.sh`, the last the summary.",
  async run() {
    const begun = performance.now();
    const { code, output } = await runNode(["scripts/gpu-check.mjs"], ["--emulated"]);
    const failed = parts.filter((part) => !output.includes(`${part}: exit 0`));
    if (code !== 0) console.error(output.slice(-4000));
    const failures = failed.length + (code === 0 ? 0 : 1);
    const seconds = (performance.now() - begun) / 1000;
    return [{ id: "rehearsal", cases: parts.length + 1, failures, seconds, note: failed.join(", ") }];
  },
};
