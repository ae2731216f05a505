// `npm run bench -- qlora-memory [--model FOLDER]`: the peak memory of QLoRA on a model of 1.1 billion weights, batch 1 × 512 with
// checkpointing, and its limit; once quantising, once from the cache.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { machine } from "../machine.ts";
import { billion, randomRows, writeRandomModel } from "./random-model.ts";
import { Side } from "./side.ts";
import type { Spec } from "./spec.ts";

/** VmHWM of the whole process, mapped pages included. */
const limitBytes = 1.6 * 2 ** 30;
const [tokens, steps] = [512, 2];

export async function qloraMemory(folder: string | undefined): Promise<Record<string, unknown>> {
  const work = mkdtempSync(join(tmpdir(), "tunesmith-bench-"));
  try {
    const model = folder ?? join(work, "model");
    if (folder === undefined) writeRandomModel(model, billion);
    const spec: Spec = {
      model,
      adapter: { r: 16 },
      rows: randomRows(steps, tokens, billion.vocabulary),
      learning_rates: Array.from({ length: steps }, () => 2e-4),
      batch_size: 1,
      gradient_accumulation_steps: 1,
      max_grad_norm: 1,
      dtype: "bfloat16",
      attention: "sdpa",
      threads: 0,
      load_in_4bit: true,
      gradient_checkpointing: true,
      quantized_cache: join(work, "cache"),
    };
    const file = join(work, "spec.json");
    writeFileSync(file, JSON.stringify(spec));
    const runs = [];
    for (const from of ["quantised while loading", "read from the cache"]) {
      const program = ["--import", "tsx", join(import.meta.dirname, "tunesmith-sft.ts"), file];
      const side = await Side.start("tunesmith", process.execPath, program);
      for (let step = 1; step < steps; step += 1) await side.step();
      await side.end();
      const { peakBytes: peak_bytes, loadSeconds: load_seconds } = side;
      runs.push({ from, peak_bytes, load_seconds, engine_bytes: side.engineBytes, steps: side.steps });
      const rate = tokens / (side.steps.at(-1)?.seconds ?? Number.NaN);
      console.log(
        `${from}: loaded in ${load_seconds.toFixed(1)} s, peak ${(peak_bytes / 2 ** 30).toFixed(3)} GiB of ${(limitBytes / 2 ** 30).toFixed(1)}, ${rate.toFixed(0)} tokens/s`,
      );
    }
    const within = runs.every(({ peak_bytes: peak }) => peak < limitBytes);
    console.log(within ? "within the limit" : "BEYOND the limit");
    return { benchmark: "qlora-memory", machine: machine(), tokens, limit_bytes: limitBytes, within, runs };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
