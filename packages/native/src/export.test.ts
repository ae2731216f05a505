import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { batchOf, fixtures, loraSession, temporaryFolder, tinyModel } from "../test/fixture.ts";
import { compareMerged, exportGguf, exportGgufLora, loadModel, mergeModel } from "./index.ts";

const adapter = join(fixtures, "goldens/llama/lora/adapter_end");
const ids = Int32Array.of(3, 8, 20, 33, 4, 11);

/** Goldens of adapters other than plain LoRA: magnitudes, fully trained modules, ranks and scales of their own. */
const variants = readdirSync(join(fixtures, "goldens")).flatMap((name) =>
  readdirSync(join(fixtures, "goldens", name))
    .filter((variant) => variant !== "lora" && existsSync(join(fixtures, "goldens", name, variant, "adapter_end")))
    .map((variant): [string, string] => [name, variant]),
);

/** Loss of a few tokens by a model, with an adapter or without. */
async function lossOf(path: string, adapterPath: string | null = null): Promise<number> {
  const model = await loadModel(path);
  const session = await model.createGenerator({
    adapter: adapterPath === null ? null : { type: "saved", path: adapterPath },
  });
  const loss = (await session.evaluate(batchOf([...ids]))).lossSum[0] as number;
  session.dispose();
  return loss;
}

describe("mergeModel", () => {
  test("writes a folder that says what the base says with its adapter on", async () => {
    const output = join(temporaryFolder(), "deep/merged");
    const seen: number[] = [];
    await mergeModel({
      model: tinyModel,
      adapter,
      output,
      dtype: "float32",
      maxShardBytes: 40_000,
      onProgress: ({ done, total }) => seen.push(done / total),
    });
    expect(await lossOf(output)).toBeCloseTo(await lossOf(tinyModel, adapter), 4);
    expect(await lossOf(output)).not.toBeCloseTo(await lossOf(tinyModel), 3);
    expect(seen.at(-1)).toBe(1);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    const names = readdirSync(output);
    for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
      expect(names).toContain(name);
    const index = JSON.parse(readFileSync(join(output, "model.safetensors.index.json"), "utf8"));
    const shards = names.filter((name) => /^model-\d{5}-of-\d{5}\.safetensors$/u.test(name));
    expect(new Set(Object.values(index.weight_map))).toEqual(new Set(shards));
    expect(shards.length).toBeGreaterThan(2);
    expect(index.metadata.total_size).toBe(4 * index.metadata.total_parameters);
    const check = await compareMerged({ model: tinyModel, adapter, merged: output, ids });
    expect(check).toMatchObject({ tokens: 6, top1Agreement: 1 });
    expect(check.largestDifference).toBeLessThan(1e-5 * check.largestLogit);
  });

  test.each(variants)("merges an adapter with more than two matrices a module: %s", async (name, variant) => {
    const [model, trained] = [join(fixtures, "models", name), join(fixtures, "goldens", name, variant, "adapter_end")];
    const output = join(temporaryFolder(), "merged");
    await mergeModel({ model, adapter: trained, output, dtype: "float32" });
    expect(await lossOf(output)).toBeCloseTo(await lossOf(model, trained), 4);
    expect(await lossOf(output)).not.toBeCloseTo(await lossOf(model), 3);
  });

  test("writes 16-bit types, and into the four-bit values of the base", async () => {
    const folder = temporaryFolder();
    for (const dtype of ["float16", "bfloat16"] as const) {
      const output = join(folder, dtype);
      await mergeModel({ model: tinyModel, adapter, output, dtype });
      expect(JSON.parse(readFileSync(join(output, "config.json"), "utf8")).dtype).toBe(dtype);
      const { largestDifference, largestLogit } = await compareMerged({
        model: tinyModel,
        adapter,
        merged: output,
        ids,
      });
      expect(largestDifference / largestLogit).toBeLessThan(dtype === "float16" ? 5e-3 : 5e-2);
      expect(largestDifference).toBeGreaterThan(0);
    }
    const nf4 = join(folder, "nf4");
    await mergeModel({ model: tinyModel, adapter, output: nf4, dtype: "float32", base: "nf4" });
    expect(Math.abs((await lossOf(nf4)) - (await lossOf(tinyModel, adapter)))).toBeGreaterThan(1e-3);
    const onFourBits = await compareMerged({ model: tinyModel, adapter, base: "nf4", merged: nf4, ids });
    expect(onFourBits.largestDifference).toBeLessThan(1e-5 * onFourBits.largestLogit);
    const quantised = join(fixtures, "models-extra/qwen3-bnb-double");
    const plain = join(folder, "dequantised");
    await mergeModel({ model: quantised, output: plain, dtype: "float32" });
    expect(await lossOf(plain)).toBeCloseTo(await lossOf(quantised), 1);
    expect(JSON.parse(readFileSync(join(plain, "config.json"), "utf8")).quantization_config).toBeUndefined();
  });

  test("an earlier output is replaced when asked, and an abort leaves it as it was", async () => {
    const folder = temporaryFolder();
    const output = join(folder, "merged");
    const options = { model: tinyModel, adapter, output, dtype: "float16" } as const;
    await mergeModel({ ...options, dtype: "float32" });
    await expect(mergeModel(options)).rejects.toMatchObject({ name: "ArgumentError" });
    const before = readFileSync(join(output, "model.safetensors"));
    const controller = new AbortController();
    const stopped = mergeModel({
      ...options,
      overwrite: true,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(stopped).rejects.toMatchObject({ name: "AbortError", code: "ABORTED" });
    expect(readFileSync(join(output, "model.safetensors"))).toEqual(before);
    await mergeModel({ ...options, overwrite: true });
    expect(readFileSync(join(output, "model.safetensors")).length).toBeLessThan(before.length);
    const again = { ...options, overwrite: true, signal: AbortSignal.abort() };
    await expect(mergeModel(again)).rejects.toMatchObject({ name: "AbortError" });
    expect(readdirSync(folder)).toEqual(["merged"]);
  });

  test("neither the model and the adapter that are read nor files of others are written over", async () => {
    const folder = temporaryFolder();
    const [model, base] = [join(folder, "model"), join(folder, "base.gguf")];
    cpSync(tinyModel, model, { recursive: true });
    await exportGguf({ model, output: base, quantization: "f32" });
    writeFileSync(join(folder, "foreign.gguf"), "GGUF");
    const before = readFileSync(base);
    const asked = { overwrite: true, quantization: "f16" } as const;
    const merging = { overwrite: true, dtype: "float16" } as const;
    for (const source of [{ model }, { model: base }, { model, adapter: folder }])
      for (const output of [model, folder])
        await expect(mergeModel({ ...merging, ...source, output })).rejects.toMatchObject({ name: "ArgumentError" });
    const files = [base, join(folder, "model/../base.gguf"), join(folder, "foreign.gguf"), folder];
    for (const output of files)
      await expect(exportGguf({ ...asked, model: base, output }), output).rejects.toThrow(/nothing was changed/u);
    await expect(
      exportGgufLora({ model, adapter, output: join(model, "model.safetensors"), overwrite: true }),
    ).rejects.toThrow(/nothing was changed/u);
    expect(readFileSync(base)).toEqual(before);
    await exportGguf({ ...asked, model, output: base });
    expect(readFileSync(base).length).toBeLessThan(before.length);
    expect(readdirSync(folder).sort()).toEqual(["base.gguf", "foreign.gguf", "model"]);
  });

  test.each(["lm_head", "embed_tokens"])(
    "one end of a tied pair that is adapted leaves the other as it was: %s",
    async (end) => {
      const tied = join(fixtures, "models/qwen2");
      const on = temporaryFolder();
      const model = await loadModel(tied);
      const session = await model.createSession({
        ...loraSession,
        adapter: { type: "lora", r: 2, loraAlpha: 64, targetModules: [end, "q_proj"], useRslora: true },
      });
      await session.accumulate(batchOf([3, 8, 20, 33, 4]), { objective: { type: "nll" }, step: 1, seed: 0 });
      await session.update({
        learningRates: new Float64Array(session.info.parameterGroups.length).fill(0.05),
        maxGradNorm: null,
        denominator: 4,
      });
      await session.saveAdapter(on);
      session.dispose();
      const output = join(temporaryFolder(), "merged");
      await mergeModel({ model: tied, adapter: on, output, dtype: "float32" });
      expect(JSON.parse(readFileSync(join(output, "config.json"), "utf8")).tie_word_embeddings).toBe(false);
      expect(await lossOf(output)).toBeCloseTo(await lossOf(tied, on), 4);
      expect(Math.abs((await lossOf(output)) - (await lossOf(tied)))).toBeGreaterThan(1e-3);
      const gguf = join(temporaryFolder(), "a.gguf");
      await exportGguf({ model: tied, adapter: on, output: gguf, quantization: "f32" });
      expect(await lossOf(gguf)).toBeCloseTo(await lossOf(tied, on), 4);
      const alone = { model: tied, adapter: on, output: join(temporaryFolder(), "l.gguf") };
      await expect(exportGgufLora(alone)).rejects.toMatchObject({
        message: expect.stringContaining("merge the adapter"),
      });
    },
  );

  test("wrong arguments and an adapter of another model are typed errors", async () => {
    const output = join(temporaryFolder(), "a");
    const good = { model: tinyModel, adapter, output, dtype: "float16" } as const;
    for (const wrong of [{ dtype: "int8" }, { base: "nf3" }, { maxShardBytes: 0 }])
      await expect(mergeModel({ ...good, ...wrong } as never)).rejects.toMatchObject({ name: "ArgumentError" });
    for (const wrong of [{ output: "" }, { signal: 3 }, { overwrite: "yes" }, { maxShardBites: 5 }])
      await expect(mergeModel({ ...good, ...wrong } as never)).rejects.toMatchObject({ name: "OptionError" });
    await expect(mergeModel(undefined as never)).rejects.toMatchObject({ name: "OptionError" });
    await expect(mergeModel({ ...good, base: "nf4", bnb4bitBlocksize: 100 })).rejects.toMatchObject({
      name: "ArgumentError",
    });
    const other = join(fixtures, "goldens/qwen3/lora/adapter_end");
    await expect(mergeModel({ ...good, adapter: other })).rejects.toMatchObject({ name: "ConfigError" });
    expect(existsSync(output)).toBe(false);
  });
});

describe("exportGguf", () => {
  test("writes a file that the engine reads as the merged model", async () => {
    const folder = temporaryFolder();
    const expected = await lossOf(tinyModel, adapter);
    for (const [quantization, digits] of [
      ["f32", 4],
      ["f16", 1],
      ["q8_0", 0],
    ] as const) {
      const output = join(folder, `${quantization}.gguf`);
      await exportGguf({ model: tinyModel, adapter, output, quantization });
      expect(await lossOf(output)).toBeCloseTo(expected, digits);
      const [a, b] = [(await loadModel(output)).tokenizer, (await loadModel(tinyModel)).tokenizer];
      expect(a.info.chatTemplate).not.toContain("generation %}");
      const conversation = { messages: [{ role: "user", content: "Hi 12?" }] };
      expect(a.render(conversation, { addGenerationPrompt: true })).toBe(
        b.render(conversation, { addGenerationPrompt: true }),
      );
      expect((await a.encodeTexts(["Hello wörld 42"]))[0]).toEqual((await b.encodeTexts(["Hello wörld 42"]))[0]);
    }
  });

  test("what cannot be written is named, and nothing is left behind", async () => {
    const folder = temporaryFolder();
    const output = join(folder, "out/a.gguf");
    await expect(exportGguf({ model: tinyModel, output, quantization: "q2_k" as never })).rejects.toMatchObject({
      name: "ArgumentError",
      message: expect.stringContaining("q2_k"),
    });
    const windowed = join(folder, "model");
    cpSync(join(fixtures, "models/qwen2"), windowed, { recursive: true });
    const path = join(windowed, "config.json");
    const config = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(
      path,
      JSON.stringify({
        ...config,
        use_sliding_window: true,
        sliding_window: 4,
        max_window_layers: 0,
        layer_types: null,
      }),
    );
    await expect(exportGguf({ model: windowed, output, quantization: "f16" })).rejects.toMatchObject({
      name: "UnsupportedModelError",
      message: expect.stringContaining("window"),
    });
    expect(readdirSync(join(folder, "out"))).toEqual([]);
    await exportGguf({ model: tinyModel, output, quantization: "f16" });
    await expect(exportGguf({ model: tinyModel, output, quantization: "f16" })).rejects.toMatchObject({
      name: "ArgumentError",
    });
    await expect(
      exportGgufLora({ model: tinyModel, adapter: tinyModel, output: join(folder, "l.gguf") }),
    ).rejects.toMatchObject({
      code: "FILE_MISSING",
    });
  });

  test("the event loop stays free", async () => {
    const output = join(temporaryFolder(), "a.gguf");
    let ticks = 0;
    const timer = setInterval(() => {
      ticks += 1;
    }, 1);
    const tokens: Promise<unknown>[] = Array.from({ length: 4 }, (_, n) =>
      exportGguf({ model: tinyModel, output: `${output}.${n}`, quantization: "f16" }),
    );
    await Promise.all(tokens);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(0);
  });
});
