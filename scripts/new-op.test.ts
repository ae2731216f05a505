import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newOp } from "./new-op.ts";

const registers = [
  "crates/ops/src/lib.rs",
  "crates/engine/src/plan/ledger.rs",
  "crates/cuda/src/lib.rs",
  "crates/conformance/tests/cuda.rs",
  "kernels/template/stem.cu",
  "crates/cpu/src/lib.rs",
  "crates/conformance/src/lib.rs",
  "crates/conformance/src/suites.rs",
  "benchmarks/kernels/main.rs",
];
let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tunesmith-new-op-"));
  for (const path of registers) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    cpSync(join(import.meta.dirname, "..", path), join(root, path));
  }
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const read = (path: string) => readFileSync(join(root, path), "utf8");

test("a new op has its four files and is registered in every room", () => {
  expect(newOp(root, "log_prob")).toEqual([
    "crates/ops/src/log_prob.rs",
    "crates/cpu/src/log_prob.rs",
    "crates/conformance/src/log_prob.rs",
    "benchmarks/kernels/log_prob.rs",
  ]);
  expect(read("crates/ops/src/log_prob.rs")).toContain("pub trait LogProb: Memory");
  expect(read("crates/ops/src/lib.rs")).toMatch(
    /pub mod log_prob;[\s\S]*pub use log_prob::LogProb;[\s\S]*\n {4}\+ LogProb\n\{/,
  );
  expect(read("crates/cpu/src/lib.rs")).toContain("\nmod log_prob;");
  expect(read("crates/conformance/src/suites.rs")).toMatch(/, log_prob,?\s*\};[\s\S]*log_prob::suite\)/);
  expect(read("benchmarks/kernels/main.rs")).toContain('("log_prob", log_prob::run)');
  expect(read("crates/engine/src/plan/ledger.rs")).toMatch(
    /LogProb,?\s*\};[\s\S]*\nimpl LogProb for Ledger \{\n {4}free! \{\n {8}log_prob_forward/,
  );
});

test("without kernels a GPU refuses the op", () => {
  newOp(root, "log_prob");
  expect(read("crates/ops/src/log_prob.rs")).toContain("expected a backend with log_prob, got one without");
  expect(read("crates/cuda/src/lib.rs")).toMatch(/LogProb,?\s*\};[\s\S]*\nimpl LogProb for Cuda \{\}\n/);
  expect(read("crates/conformance/tests/cuda.rs")).not.toContain("log_prob");
});

test("with kernels it has a page, a launcher and a suite that runs on the emulated device", () => {
  expect(newOp(root, "log_prob", { cuda: true })).toEqual([
    "crates/ops/src/log_prob.rs",
    "crates/cpu/src/log_prob.rs",
    "crates/conformance/src/log_prob.rs",
    "benchmarks/kernels/log_prob.rs",
    "kernels/log_prob.cu",
    "crates/cuda/src/log_prob.rs",
  ]);
  expect(read("kernels/log_prob.cu")).toMatch(/\nKERNEL_FORWARD\(log_prob_forward_f32, float\)\n/);
  expect(read("kernels/log_prob.cu")).not.toContain("stem");
  expect(read("crates/cuda/src/log_prob.rs")).toContain(
    'launch_activations("log_prob_forward_f32", "log_prob_forward_bf16")',
  );
  expect(read("crates/cuda/src/lib.rs")).toContain("\nmod log_prob;");
  expect(read("crates/cuda/src/lib.rs")).not.toContain("impl LogProb for Cuda {}");
  expect(read("crates/ops/src/log_prob.rs")).not.toContain("got one without");
  expect(read("crates/conformance/tests/cuda.rs")).toMatch(/, log_prob,?\s*\};[\s\S]*check\(log_prob::suite\)/);
});

test("a name that is taken or invalid is refused, and nothing is written", () => {
  newOp(root, "gelu");
  const before = registers.map(read);
  expect(() => newOp(root, "gelu")).toThrow(/expected a new name, got gelu/);
  expect(() => newOp(root, "gelu", { cuda: true })).toThrow(/expected a new name, got gelu/);
  expect(() => newOp(root, "Gelu")).toThrow(/expected a name such as/);
  expect(() => newOp(root, "../gelu")).toThrow(/expected a name such as/);
  expect(() => newOp(root, "")).toThrow(/got none/);
  expect(registers.map(read)).toEqual(before);
});
