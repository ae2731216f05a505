// `npm run bench -- memory [--json FILE] [--model MODEL]`: what the memory plan predicts and what a process really held (VmHWM, mapped pages included), each case in a process of its own.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { bin } from "../../scripts/lib/shell.mjs";
import { findSmollm2 } from "../../test/goldens/smollm2-path.ts";
import { machine } from "../machine.ts";
import type { MemoryCase, MemoryFound } from "./memory-run.ts";

const repository = resolve(import.meta.dirname, "../..");
const plain = { r: 16, gradientCheckpointing: false, dtype: "auto", loadIn4bit: false } as const;
const cases: Omit<MemoryCase, "model">[] = [
  { ...plain, lengths: [512] },
  { ...plain, lengths: [256, 256, 256, 256] },
  { ...plain, lengths: [512], gradientCheckpointing: true },
  { ...plain, lengths: [512], dtype: "bfloat16" },
  { ...plain, lengths: [512], loadIn4bit: true, gradientCheckpointing: true },
];

function label({ lengths, gradientCheckpointing, dtype, loadIn4bit }: Omit<MemoryCase, "model">): string {
  const weights = loadIn4bit ? "4-bit" : dtype === "bfloat16" ? "bfloat16" : "float32";
  return `${lengths.length} × ${lengths[0]} tokens, ${weights}${gradientCheckpointing ? ", checkpointing" : ""}`;
}

/** Plans and trains every case with the model of that path, by default SmolLM2-135M-Instruct. */
export async function memory(path = findSmollm2()): Promise<Record<string, unknown>> {
  if (path === null)
    throw new Error("[bench memory] expected --model MODEL or SmolLM2 where the quickstart keeps it, got neither");
  const work = mkdtempSync(join(tmpdir(), "tunesmith-memory-"));
  try {
    const results = cases.map((wanted) => {
      const file = join(work, "case.json");
      writeFileSync(file, JSON.stringify({ ...wanted, model: resolve(path) } satisfies MemoryCase));
      const program = [...bin.tsx, join(repository, "benchmarks/training/memory-run.ts"), file];
      const found = JSON.parse(
        execFileSync(process.execPath, program, { cwd: repository, encoding: "utf8" }),
      ) as MemoryFound;
      const difference = found.planned / found.held - 1;
      const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(0).padStart(6);
      console.log(
        `${label(wanted).padEnd(44)} planned ${mib(found.planned)} MiB  held ${mib(found.held)} MiB  ${(100 * difference).toFixed(1).padStart(5)} %   engine ${mib(found.engine_planned)} and ${mib(found.engine_held)} MiB`,
      );
      return { case: label(wanted), ...found, difference };
    });
    const worst = Math.max(...results.map(({ difference }) => Math.abs(difference)));
    console.log(`largest difference ${(100 * worst).toFixed(1)} % (limit 10 %) ${worst <= 0.1 ? "held" : "NOT HELD"}`);
    return { benchmark: "memory", machine: machine(), model: basename(path), worst, results };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
