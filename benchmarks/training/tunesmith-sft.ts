// `tunesmith-sft.ts SPEC.json`: our side of a training benchmark. Like the peer it runs one optimizer step per line `step` on
// standard input and writes JSON lines.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parameterKinds } from "@tunesmith/core";
import { coalesce, collate, type Example } from "@tunesmith/data";
import { loadModel } from "@tunesmith/native";
import { sftConfigSchema } from "../../packages/core/src/options/sft.ts";

import type { Spec } from "./spec.ts";

const started = performance.now();
const spec = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as Spec;
const emit = (line: Record<string, unknown>) => process.stdout.write(`${JSON.stringify(line)}\n`);

const examples: Example[] = spec.rows.map(({ input_ids: ids, labels }, rowId) => ({
  ids: Int32Array.from(ids),
  labels: Int32Array.from(labels),
  turns: 2,
  length: ids.length,
  rowId,
  truncated: false,
}));
const fourBit = spec.load_in_4bit === true;
const model = await loadModel(spec.model, {
  ...(spec.threads > 0 ? { threads: spec.threads } : {}),
  // What is not quantised is held as the peer holds it; a benchmark without four bits compares with float32 weights.
  ...(fourBit ? { loadIn4bit: true, dtype: spec.dtype, cacheDir: spec.quantized_cache ?? null } : {}),
});
const adapter =
  typeof spec.adapter === "string"
    ? ({ type: "saved", path: spec.adapter } as const)
    : ({ type: "lora", r: spec.adapter.r, loraAlpha: spec.adapter.r } as const);
const session = await model.createSession({
  adapter,
  optimizer: { type: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  parameterGroups: [{ name: "all", parameters: [...parameterKinds], rate: 0, decay: 0 }],
  gradientCheckpointing: spec.gradient_checkpointing ?? false,
  seed: 0,
});
const { tokenBudget } = sftConfigSchema.parse({});
emit({
  event: "start",
  load_seconds: (performance.now() - started) / 1000,
  threads: session.info.threads,
  backend: session.info.backend,
});

let next = 0;
const take = (): Example[] =>
  Array.from({ length: spec.batch_size }, () => examples[next++ % examples.length] as Example);

async function step(number: number, learningRate: number): Promise<void> {
  const before = performance.now();
  const microBatches = Array.from({ length: spec.gradient_accumulation_steps }, take);
  let [loss, supervised] = [0, 0];
  for (const placed of coalesce(microBatches, tokenBudget)) {
    const sums = await session.accumulate(collate(placed), { objective: { type: "nll" }, step: number, seed: 0 });
    loss += sums.lossSum.reduce((a, b) => a + b, 0);
    supervised += sums.weightSum.reduce((a, b) => a + b, 0);
  }
  const learningRates = Float64Array.from(session.info.parameterGroups, () => learningRate);
  const { gradNorm } = await session.update({
    learningRates,
    maxGradNorm: spec.max_grad_norm,
    denominator: supervised,
  });
  const tokens = microBatches.flat().reduce((sum, { length }) => sum + length, 0);
  emit({
    step: number,
    loss: loss / supervised,
    grad_norm: gradNorm,
    seconds: (performance.now() - before) / 1000,
    useful_tokens: tokens,
  });
}

let number = 0;
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() !== "step") throw new Error(`[tunesmith-sft] expected a line "step", got ${JSON.stringify(line)}`);
  const learningRate = spec.learning_rates[number];
  if (learningRate === undefined) break;
  number += 1;
  await step(number, learningRate);
}
const { peak: enginePeak } = session.memory();
session.dispose();
// The high-water mark of the whole process, the mapped pages of the model file included.
const peak = /^VmHWM:\s+(\d+) kB$/mu.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
emit({ event: "end", peak_rss_bytes: Number(peak) * 1024, engine_peak_bytes: enginePeak });
