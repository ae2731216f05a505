// `npm run bench -- cpu-sft [--json FILE] [--steps N] [--batch N,N] [--dtype float32,bfloat16]`: LoRA on SmolLM2-135M, rows of
// GSM8K, Tunesmith and PyTorch + PEFT, one step of each in turn.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel } from "@tunesmith/native";
import { findSmollm2 } from "../../test/goldens/smollm2-path.ts";
import { machine } from "../machine.ts";
import { type Comparison, compare, convert, peerPython, rank, show, startingAdapter } from "./comparison.ts";
import { gsm8k } from "./rows.ts";
import type { Spec } from "./spec.ts";

export async function cpuSft(options: {
  steps: number;
  batches: number[];
  dtypes: Spec["dtype"][];
}): Promise<Record<string, unknown>> {
  const gguf = findSmollm2();
  if (gguf === null)
    throw new Error(
      "[cpu-sft] expected SmolLM2-135M-Instruct, got none; run `npm run quickstart` once or set TUNESMITH_SMOLLM2",
    );
  const fixtures = process.env.TUNESMITH_FIXTURES;
  if (fixtures === undefined)
    throw new Error(
      "[cpu-sft] expected TUNESMITH_FIXTURES to name the folder with data/gsm8k-train.jsonl, got nothing",
    );
  const work = mkdtempSync(join(tmpdir(), "tunesmith-bench-"));
  try {
    const python = peerPython("PyTorch + PEFT");
    const model = python === null ? gguf : convert(python, gguf, work);
    const adapter = await startingAdapter(model, join(work, "adapter"));
    const { tokenizer } = await loadModel(model);
    const largest = Math.max(...options.batches) * (options.steps + 1);
    const rows = await gsm8k(fixtures, largest, tokenizer);
    const comparisons: Comparison[] = [];
    for (const settings of sides(options, python !== null)) {
      const spec: Spec = {
        model,
        adapter,
        rows: rows.slice(0, settings.batch_size * (options.steps + 1)),
        learning_rates: Array.from({ length: options.steps + 1 }, () => 2e-4),
        gradient_accumulation_steps: 1,
        max_grad_norm: 1,
        threads: 0,
        ...settings,
      };
      comparisons.push(await compare(spec, options.steps, python, work));
      show(comparisons.at(-1) as Comparison);
    }
    const ratio = leastRatio(comparisons, "float32");
    const ratioBfloat16 = leastRatio(comparisons, "bfloat16");
    if (ratio !== null) console.log(`ratio ${ratio.toFixed(2)} (float32 on both sides, the peer's best setting)`);
    if (ratioBfloat16 !== null)
      console.log(`ratio ${ratioBfloat16.toFixed(2)} (ours in float32, the peer in bfloat16)`);
    return {
      benchmark: "cpu-sft",
      machine: machine(),
      rank,
      steps: options.steps,
      ratio,
      ratio_bfloat16: ratioBfloat16,
      comparisons,
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What is measured one after the other; types and kinds of attention are the peer's, so one of each is enough without it. */
function sides({ batches, dtypes }: { batches: number[]; dtypes: Spec["dtype"][] }, peer: boolean) {
  const attentions = ["sdpa", "eager"] as const;
  const settings = dtypes.flatMap((dtype) => attentions.map((attention) => ({ dtype, attention })));
  return batches.flatMap((batch_size) =>
    settings.slice(0, peer ? settings.length : 1).map((setting) => ({ batch_size, ...setting })),
  );
}

/** Against the peer's fastest setting of a precision; null where it was not measured. */
function leastRatio(comparisons: readonly Comparison[], dtype: Spec["dtype"]): number | null {
  const ratios = comparisons.flatMap(({ peer_dtype: of, ratio }) => (of === dtype && ratio !== null ? [ratio] : []));
  return ratios.length === 0 ? null : Math.min(...ratios);
}
