import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ArgumentError, type ModelConfig, UnsupportedModelError } from "@tunesmith/core";
import { describe, expect, test } from "vitest";
import { batchOf, firstStep, fixtures, fullSession, loraSession, temporaryFolder, tinyModel } from "../test/fixture.ts";
import { loadModel } from "./model.ts";

const rows = batchOf([1, 2, 3, 4, 5, 6], [7, 8, 9]);
const bnb = join(fixtures, "models-extra/qwen3-bnb-double");

describe("four-bit layers", () => {
  test("are quantised at load, reported, and trained with an adapter", async () => {
    const model = await loadModel(tinyModel, { loadIn4bit: true, bnb4bitBlocksize: 128, threads: 1 });
    expect(model.weightOptions).toMatchObject({ loadIn4bit: true, bnb4bitUseDoubleQuant: true, dtype: "auto" });
    const session = await model.createSession(loraSession);
    expect(session.info.quantization).toEqual({
      bnb4bitQuantType: "nf4",
      bnb4bitBlocksize: 128,
      bnb4bitUseDoubleQuant: true,
      matrices: 7 * model.info.numHiddenLayers,
      fromCheckpoint: 0,
      fromCache: 0,
      cacheDir: null,
    });
    const before = await session.accumulate(rows, firstStep);
    const learningRates = Float64Array.from(session.info.parameterGroups, () => 0.01);
    await session.update({ learningRates, maxGradNorm: 1, denominator: 7 });
    const after = await session.evaluate(rows);
    expect(after.lossSum[0]).toBeLessThan(before.lossSum[0] as number);
    const plain = await (await loadModel(tinyModel)).createGenerator();
    expect(plain.info.quantization).toBeNull();
    expect(session.memory().inUse).toBeGreaterThan(0);
    expect((await plain.evaluate(rows)).lossSum[0]).not.toBe(before.lossSum[0]);
    plain.dispose();
    session.dispose();
  });

  test("are kept for the next load, and a damaged file is quantised again with a warning", async () => {
    const cacheDir = temporaryFolder();
    const open = async () => {
      const session = await (await loadModel(tinyModel, { loadIn4bit: true, cacheDir })).createGenerator();
      const { quantization, warnings } = session.info;
      const loss = (await session.evaluate(rows)).lossSum[0];
      session.dispose();
      return { cacheDir: quantization?.cacheDir ?? "", fromCache: quantization?.fromCache, warnings, loss };
    };
    const first = await open();
    const matrices = readdirSync(first.cacheDir);
    expect(first).toMatchObject({ fromCache: 0, warnings: [] });
    expect(await open()).toEqual({ ...first, fromCache: matrices.length });
    const file = join(first.cacheDir, matrices[0] as string);
    const bytes = readFileSync(file);
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] as number) ^ 1;
    writeFileSync(file, bytes);
    const third = await open();
    expect(third).toMatchObject({ fromCache: matrices.length - 1, loss: first.loss });
    expect(third.warnings).toEqual([expect.stringContaining("quantised again")]);
    expect(await open()).toEqual({ ...first, fromCache: matrices.length });
  });

  test("come from a bitsandbytes checkpoint as they are", async () => {
    const session = await (await loadModel(bnb)).createSession(loraSession);
    expect(session.info.quantization).toMatchObject({
      bnb4bitBlocksize: 64,
      bnb4bitUseDoubleQuant: true,
      fromCheckpoint: 14,
    });
    const { lossSum } = await session.accumulate(rows, firstStep);
    expect(Number.isFinite(lossSum[0])).toBe(true);
    session.dispose();
  });

  test("of another type than NF4 are refused by name", async () => {
    const folder = join(temporaryFolder(), "model");
    cpSync(bnb, folder, { recursive: true });
    const path = join(folder, "config.json");
    const config = JSON.parse(readFileSync(path, "utf8"));
    config.quantization_config.bnb_4bit_quant_type = "fp4";
    writeFileSync(path, JSON.stringify(config));
    await expect(loadModel(folder)).rejects.toThrow(UnsupportedModelError);
    await expect(loadModel(folder)).rejects.toThrow(/fp4/u);
  });

  test("cannot be trained themselves", async () => {
    for (const model of [await loadModel(tinyModel, { loadIn4bit: true }), await loadModel(bnb)]) {
      await expect(model.createSession(fullSession)).rejects.toThrow(/loadIn4bit.*adapter/u);
    }
  });
});

test("bfloat16 halves the frozen weights and is no other model", async () => {
  const open = async (dtype: ModelConfig["dtype"]) =>
    (await loadModel(tinyModel, { dtype, threads: 1 })).createGenerator();
  const [wide, narrow] = [await open("float32"), await open("bfloat16")];
  expect(narrow.memory().inUse).toBeLessThan(0.6 * wide.memory().inUse);
  const [a, b] = [(await wide.evaluate(rows)).lossSum[0] as number, (await narrow.evaluate(rows)).lossSum[0] as number];
  expect(a).not.toBe(b);
  expect(Math.abs(a / b - 1)).toBeLessThan(0.01);
  wide.dispose();
  narrow.dispose();
});

test("weight options out of range are refused", async () => {
  for (const options of [
    { dtype: "float16" },
    { bnb4bitQuantType: "fp4" },
    { bnb4bitBlocksize: 32 },
    { loadIn4bit: "yes" },
    { bnb4bitUseDoubleQuant: 1 },
    { loadIn8bit: true },
    { cacheDir: 7 },
  ]) {
    await expect(loadModel(tinyModel, options as object), JSON.stringify(options)).rejects.toThrow(ArgumentError);
  }
});
