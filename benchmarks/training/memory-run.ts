// One case of the memory benchmark, in a process of its own: `memory-run.ts CASE.json` trains three steps and writes what was planned and what the process held at most, as a line of JSON.
import { readFileSync } from "node:fs";
import { parameterKinds } from "@tunesmith/core";
import { collate, type Example } from "@tunesmith/data";
import { loadModel } from "@tunesmith/native";
import { estimateMemory } from "@tunesmith/trainer";

/** What one case of the benchmark trains. */
export interface MemoryCase {
  model: string;
  /** Tokens of each sequence of a pass. */
  lengths: number[];
  r: number;
  gradientCheckpointing: boolean;
  dtype: "auto" | "float32" | "bfloat16";
  loadIn4bit: boolean;
}

/** What one case found, in bytes. */
export interface MemoryFound {
  planned: number;
  held: number;
  engine_planned: number;
  engine_held: number;
}

/** A number of `/proc/self/status`, in bytes. */
function status(name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "mu").exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return Number(found) * 1024;
}

const wanted = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as MemoryCase;
const { lengths, dtype, loadIn4bit, gradientCheckpointing, r } = wanted;
const model = await loadModel(wanted.model, { dtype, loadIn4bit });
const examples = lengths.map(
  (length, rowId): Example => ({
    ids: Int32Array.from({ length }, (_, i) => (i * 7919 + rowId) % model.info.vocabSize),
    labels: Int32Array.from({ length }, (_, i) => (i * 7919 + rowId) % model.info.vocabSize),
    turns: 1,
    length,
    rowId,
    truncated: false,
  }),
);
const tokens = lengths.reduce((sum, length) => sum + length, 0);
const pass = { tokens, longest: Math.max(...lengths), supervised: tokens };
const { plan, needed } = await estimateMemory(model, { args: { gradientCheckpointing }, peftConfig: { r }, pass });
const before = status("VmRSS");
const session = await model.createSession({
  adapter: { type: "lora", r, loraAlpha: 16 },
  optimizer: { type: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  parameterGroups: [{ name: "all", parameters: [...parameterKinds], rate: 1e-5, decay: 0 }],
  gradientCheckpointing,
  seed: 3407,
});
const batch = collate(examples.map((example) => ({ example, microBatch: 0 })));
for (let step = 1; step <= 3; step += 1) {
  await session.accumulate(batch, { objective: { type: "nll" }, step, seed: 3407 });
  const learningRates = Float64Array.from(session.info.parameterGroups, () => 1e-5);
  await session.update({ learningRates, maxGradNorm: 1, denominator: pass.tokens });
}
const found: MemoryFound = {
  planned: before + needed,
  held: status("VmHWM"),
  engine_planned: plan.peak,
  engine_held: session.memory().peak,
};
session.dispose();
console.log(JSON.stringify(found));
