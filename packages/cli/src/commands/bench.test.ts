import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { conversations, tokenizerFiles } from "../bench/generated-text.ts";
import { shapes, weightsOf, weightsOfToken } from "../bench/random-model.ts";
import { tunesmith } from "../testing/tunesmith.ts";
import { benchLines } from "../view/bench-lines.ts";

const leftBehind = async () => (await readdir(tmpdir())).filter((name) => name.startsWith("tunesmith-bench-"));

test("a benchmark has a table, the machine and a file of the same figures, and leaves nothing behind", {
  timeout: 180_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-cli-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const before = await leftBehind();
  const file = join(folder, "bench.json");
  const { code, out } = await tunesmith(["bench", "--device", "cpu", "--size", "tiny", "--json", file]);
  expect(code).toBe(0);
  expect(out).toMatch(
    /^tunesmith \S+, cpu .*\n\| test +\| tokens\/s \| peak memory \| +share of the limit \|\n\| -+ \| -+: /u,
  );
  expect(out).toMatch(
    /\n\| lora 4x128 +\| +\d+(?:\.\d)? \| +[\d.]+ MiB \| +[\d.]+ % of matrix products \|\n\| qlora 4x128 /u,
  );
  expect(out).toMatch(
    /\nlimits +matrix products \d+ GFLOP\/s, memory [\d.]+ GB\/s .*\nhost +\d+ × .*threads\), .*Node v/u,
  );
  const { host, limits, tests, ...about } = JSON.parse(await readFile(file, "utf8"));
  expect(about).toMatchObject({ benchmark: "tunesmith bench", size: "tiny", seconds: expect.any(Number) });
  expect(tests.map((one: { test: string }) => one.test)).toEqual([
    "lora 4x128",
    "qlora 4x128",
    "generate 32",
    "tokenise 500 rows",
  ]);
  const [lora, , generated] = tests;
  expect(lora.share).toBeCloseTo((4 * weightsOfToken(shapes.tiny) * lora.tokensPerSecond) / limits.products, 9);
  expect(generated).toMatchObject({ limit: "memory", peakBytes: expect.any(Number) });
  expect(JSON.stringify(host)).not.toContain(folder);
  expect(await leftBehind()).toEqual(before);
});

test("a shape that there is not is refused before anything is written", async () => {
  const { code, err } = await tunesmith(["bench", "--size", "7b"]);
  expect([code, err]).toEqual([
    2,
    expect.stringMatching(/\[--size\] expected tiny, smollm2-135m, tinyllama-1\.1b, got "7b"/u),
  ]);
});

test("shapes have the weights of their models", () => {
  expect(weightsOf(shapes["smollm2-135m"])).toBe(134_515_008);
  expect(weightsOf(shapes["tinyllama-1.1b"])).toBe(1_100_048_384);
});

test("what a GPU does not tell is left out of the table", () => {
  const test = { test: "generate 32", tokensPerSecond: 4321.4, peakBytes: 2 ** 30, limit: null, share: null };
  const machine = {
    version: "1.0.0",
    platform: "linux",
    arch: "x64",
    cpu: "8 × CPU",
    instructionSet: "avx2",
    node: "v22.0.0",
  };
  const host = { ...machine, threads: 8, totalMemory: 2 ** 34, cudaDevice: "NVIDIA H200" };
  const text = benchLines("tiny", { limits: { products: 5e14, memory: null }, tests: [test] }, host, 61);
  expect(text).toContain("| generate 32 |     4321 |     1.0 GiB |                  – |");
  expect(text).toMatch(/matrix products 500000 GFLOP\/s, measured here\n.*NVIDIA H200/u);
});

test("the generated tokenizer has an id for every token within the smallest shape", () => {
  const { model } = JSON.parse(tokenizerFiles()["tokenizer.json"] ?? "");
  expect(Object.keys(model.vocab).length).toBeLessThanOrEqual(shapes.tiny.vocabulary);
  expect(conversations(3)).toEqual(conversations(3));
});
