import { expect, test } from "vitest";
import { parseLines } from "./lines.ts";
import { ceilings, gaps, goals, kernelTable, trainingTable } from "./tables.ts";

const text = (...lines: object[]) => lines.map((line) => JSON.stringify(line)).join("\n");
const kernel = { part: "kernel", model: "m", tokens: 1 };
const training = {
  part: "training",
  scenario: "llama-3.1-8b-qlora",
  workload: "packed 8 x 2048",
  gradient_checkpointing: true,
};
const rate = (median: number) => ({ p20: median, median, p80: median });
const run = parseLines(
  text(
    { part: "ceiling", ceiling: "copy", bytes_per_second: 3e12 },
    { part: "ceiling", ceiling: "matmul_bf16", flops_per_second: 8e14 },
    { ...kernel, case: "rms_norm_forward", side: "tunesmith", bytes: 2.7e9, median_ms: 1 },
    { ...kernel, case: "rms_norm_forward", side: "liger", error: "not installed" },
    { ...kernel, case: "swiglu_forward Silu", side: "tunesmith", bytes: 1.5e9, median_ms: 1 },
    { ...kernel, case: "attention_forward one sequence", side: "tunesmith", flops: 4e11, median_ms: 1 },
    {
      ...kernel,
      case: "attention_forward one sequence",
      side: "torch sdpa (FlashAttention-2)",
      flops: 4e11,
      median_ms: 1.1,
    },
    {
      ...training,
      side: "tunesmith",
      step_ms: rate(1000),
      useful_tokens_per_second: rate(16000),
      flops_per_second: rate(4e14),
    },
    { ...training, side: "transformers+peft", step_ms: rate(2000), useful_tokens_per_second: rate(8000) },
    { ...training, side: "unsloth", error: "not installed" },
  ),
);

test("shares are of this run's own ceilings", () => {
  expect(ceilings(run)).toEqual({ bytesPerSecond: 3e12, flopsPerSecond: 8e14 });
  expect(kernelTable(run)).toContain("| rms_norm_forward | m | 1.000 | 2.70 TB/s | 90 % | liger: not installed |");
  expect(trainingTable(run)).toContain("| tunesmith | 1000 | 16.0k | 50 % |");
});

test("a goal is met, missed or not measured", () => {
  const verdicts = Object.fromEntries(goals(run).map(({ goal, verdict, detail }) => [goal, `${verdict}: ${detail}`]));
  expect(verdicts["memory-bound kernels reach 85 % of the copy ceiling"]).toBe(
    "missed: 1 of 2; least 0.50 (swiglu_forward Silu, m)",
  );
  expect(verdicts["attention is as fast as FlashAttention-2"]).toContain("met: 1 of 1; least 1.10×");
  expect(verdicts["8B QLoRA packed has 1.5 times Unsloth's tokens/s"]).toBe("not measured: –");
  expect(verdicts["8B QLoRA packed has 1.5 times the best installed peer's tokens/s"]).toContain(
    "met: 1 of 1; least 2.00×",
  );
});

test("what is missing or wrong is said", () => {
  const found = gaps([
    ...run,
    { part: "end", name: "kernels", exit: 0 },
    { part: "conformance", stem: "rope", case: "rope 3", error: undefined as never },
    { part: "golden", case: "goldens/llama/logits", dtype: "bf16", verdict: "failed" },
    { part: "sanitizer", tool: "memcheck", stem: "matmul", exit: 99, summary: "2 errors" },
    { ...kernel, case: "rope", side: "tunesmith", error: "exit status 1" },
  ]);
  expect(found).toContain("part training did not run to its end");
  expect(found).not.toContain("part kernels did not run to its end");
  expect(found).toContain("conformance failed: rope 3");
  expect(found).toContain("golden failed: goldens/llama/logits (bf16)");
  expect(found).toContain("memcheck found something in matmul: 2 errors");
  expect(found).toContain("rope: exit status 1");
  expect(found.some((gap) => gap.includes("liger"))).toBe(false);
});

test("a line that is no JSON is named by its number", () => {
  expect(() => parseLines('{"part":"run"}\n\nTraceback')).toThrow(/results\.jsonl:3.*Traceback/);
});
