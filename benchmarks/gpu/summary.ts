// npm run gpu:summary -- RESULTS [--complete]: what a run of run.sh found, as Markdown; with --complete it fails on anything that is missing or wrong.
import { parseArgs } from "node:util";
import { readLines } from "./lines.ts";
import { ceilings, checkTable, gaps, goalTable, kernelTable, trainingTable } from "./tables.ts";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { complete: { type: "boolean" } } });
const [folder] = positionals;
if (folder === undefined) {
  console.error("[gpu:summary] expected a results folder of run.sh, got none");
  process.exitCode = 2;
} else {
  const lines = readLines(folder);
  const run = lines.find(({ part }) => part === "run");
  const machine = lines.find(({ part }) => part === "machine");
  const limits = ceilings(lines);
  const rehearsed = lines.some(({ toy }) => toy === true);
  console.log(
    [
      `# ${rehearsed ? "Rehearsal at toy sizes: no figure means anything" : `GPU run of ${run?.date ?? "?"}`}`,
      `Commit ${run?.commit ?? "?"}, backend ${run?.backend ?? "?"}, ${machine === undefined ? "the card was not asked for its name" : machine.nvidia_smi || "no NVIDIA card"}.`,
      limits.bytesPerSecond === undefined || limits.flopsPerSecond === undefined
        ? "Ceilings were not measured in this run."
        : `Ceilings of this run: copy ${(limits.bytesPerSecond / 1e12).toFixed(2)} TB/s, bf16 product ${(limits.flopsPerSecond / 1e12).toFixed(0)} TFLOP/s.`,
      `## Goals\n\n${goalTable(lines)}`,
      `## Checks\n\n${checkTable(lines)}`,
      `## Training\n\n${trainingTable(lines)}`,
      `## Kernels\n\n${kernelTable(lines)}`,
    ].join("\n\n"),
  );
  const missing = gaps(lines);
  if (missing.length > 0) console.log(`\n## Missing or wrong\n\n${missing.map((gap) => `- ${gap}`).join("\n")}`);
  if (values.complete === true && missing.length > 0) process.exitCode = 1;
}
