import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseSize } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { FastLanguageModel } from "./fast-language-model.ts";
import { quantizationOf } from "./save.ts";
import { SFTTrainer } from "./sft-trainer.ts";

const fixtures = resolve(import.meta.dirname, "../../../test/fixtures");
const modelFolder = join(fixtures, "models/llama");
const adapter = join(fixtures, "goldens/llama/lora/adapter_end");

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-sdk-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const rows = Array.from({ length: 8 }, (_, i) => ({
  messages: [
    { role: "user", content: `row ${i}` },
    { role: "assistant", content: "ok" },
  ],
}));

const greedy = async (model: FastLanguageModel) => {
  let text = "";
  for await (const piece of model.generate("Hello", { maxNewTokens: 12 })) text += piece;
  await model.dispose();
  return text;
};

test("writes what a model with an adapter says, merged and as GGUF", async () => {
  const folder = temporaryFolder();
  const model = await FastLanguageModel.fromPretrained(modelFolder, { adapter });
  await model.savePretrainedMerged(join(folder, "merged"), { saveMethod: "merged_32bit", maxShardSize: "60KB" });
  const files = await model.savePretrainedGguf(join(folder, "gguf"), { quantizationMethod: ["f32", "not_quantized"] });
  expect(files.map(({ path }) => path)).toEqual([
    join(folder, "gguf/gguf.F32.gguf"),
    join(folder, "gguf/gguf.F16.gguf"),
  ]);
  const expected = await greedy(model);
  expect(await greedy(await FastLanguageModel.fromPretrained(join(folder, "merged")))).toBe(expected);
  expect(await greedy(await FastLanguageModel.fromPretrained(files[0]?.path as string))).toBe(expected);
  await model.savePretrainedMerged(join(folder, "half"), {});
  expect(JSON.parse(readFileSync(join(folder, "half/config.json"), "utf8")).dtype).toBe("bfloat16");
});

test("saves what a trainer has trained", { timeout: 60_000 }, async () => {
  const folder = temporaryFolder();
  const model = (await FastLanguageModel.fromPretrained(modelFolder)).getPeftModel({ r: 2 });
  await expect(model.savePretrainedMerged(join(folder, "x"), { saveMethod: "lora" })).rejects.toMatchObject({
    name: "ArgumentError",
  });
  const args = { outputDir: join(folder, "run"), maxSteps: 2, learningRate: 0.05, saveStrategy: "no" } as const;
  const { adapterDir } = await new SFTTrainer({ model, trainDataset: rows, args }).train();
  await model.savePretrained(join(folder, "adapter"));
  expect(readdirSync(join(folder, "adapter")).sort()).toEqual([
    "adapter_config.json",
    "adapter_model.safetensors",
    "chat_template.jinja",
    "tokenizer.json",
    "tokenizer_config.json",
    "tunesmith-export.json",
  ]);
  expect(readFileSync(join(folder, "adapter/adapter_model.safetensors"))).toEqual(
    readFileSync(join(adapterDir, "adapter_model.safetensors")),
  );
  await expect(model.savePretrained(join(folder, "adapter"))).rejects.toMatchObject({ name: "ArgumentError" });
  await model.savePretrained(join(folder, "adapter"), { overwrite: true });
  const [lora] = await model.savePretrainedGguf(join(folder, "lora.gguf"), { saveMethod: "lora" });
  expect(lora).toEqual({ path: join(folder, "lora.gguf"), notes: [] });
  await model.savePretrainedMerged(join(folder, "merged"));
  expect(existsSync(join(folder, "merged/model.safetensors"))).toBe(true);
});

test("an adapter is saved with all its chat templates", async () => {
  const folder = temporaryFolder();
  const named = join(folder, "named");
  cpSync(adapter, named, { recursive: true });
  mkdirSync(join(named, "additional_chat_templates"));
  writeFileSync(join(named, "additional_chat_templates/tool_use.jinja"), "{{ tools }}");
  await (await FastLanguageModel.fromPretrained(modelFolder, { adapter: named })).savePretrained(join(folder, "copy"));
  const copied = join(folder, "copy/additional_chat_templates/tool_use.jinja");
  expect(readFileSync(copied, "utf8")).toBe("{{ tools }}");
});

test("saves a whole model where there is no adapter", async () => {
  const folder = temporaryFolder();
  const model = await FastLanguageModel.fromPretrained(modelFolder);
  await model.savePretrained(join(folder, "model"));
  expect(await greedy(await FastLanguageModel.fromPretrained(join(folder, "model")))).toBe(await greedy(model));
});

test("understands the names of types and sizes, and refuses others with the nearest", () => {
  expect(
    ["fast_quantized", "quantized", "not_quantized", "Q8_0", "bf16", "Q5_K_M"].map((name) => quantizationOf(name)),
  ).toEqual(["q8_0", "q4_k_m", "f16", "q8_0", "bf16", "q5_k_m"]);
  expect(() => quantizationOf("q8_1")).toThrow(
    expect.objectContaining({ name: "OptionError", message: expect.stringMatching(/q8_0/u) }),
  );
  expect(["5GB", "300mb", "2GiB", 7, "1.5KB", "12"].map((size) => parseSize("x", size))).toEqual([
    5e9,
    3e8,
    2 ** 31,
    7,
    1500,
    12,
  ]);
  for (const wrong of ["", "GB", "-1GB", "5 bananas", 0, 1.5, Number.NaN])
    expect(() => parseSize("maxShardSize", wrong)).toThrow(expect.objectContaining({ name: "OptionError" }));
});

test("stops on request and leaves nothing", async () => {
  const folder = temporaryFolder();
  const model = await FastLanguageModel.fromPretrained(modelFolder, { adapter });
  const stopped = model.savePretrainedMerged(join(folder, "merged"), { signal: AbortSignal.abort() });
  await expect(stopped).rejects.toMatchObject({ name: "AbortError" });
  expect(readdirSync(folder)).toEqual([]);
});

test("what is read or foreign is not written over, and misspelt options are refused with the nearest name", async () => {
  const folder = temporaryFolder();
  cpSync(modelFolder, join(folder, "model"), { recursive: true });
  cpSync(adapter, join(folder, "adapter"), { recursive: true });
  symlinkSync(join(folder, "adapter"), join(folder, "link"));
  const model = await FastLanguageModel.fromPretrained(join(folder, "model"), { adapter: join(folder, "adapter") });
  const before = readdirSync(folder, { recursive: true });
  for (const path of [join(folder, "adapter"), join(folder, "model"), folder, join(folder, "link")]) {
    const refusal = /apart from what is being read/u;
    await expect(model.savePretrained(path, { overwrite: true }), path).rejects.toThrow(refusal);
    for (const saveMethod of ["merged_16bit", "lora"] as const)
      await expect(model.savePretrainedMerged(path, { overwrite: true, saveMethod }), path).rejects.toThrow(refusal);
  }
  expect(readdirSync(folder, { recursive: true })).toEqual(before);
  const wrong = { saveMetod: "lora", overWrite: true } as object;
  const refused = { code: "OPTION_INVALID", message: expect.stringMatching(/"saveMethod".*"overwrite"/u) };
  await expect(model.savePretrainedMerged(join(folder, "x"), wrong)).rejects.toMatchObject(refused);
  await expect(model.savePretrainedGguf(join(folder, "x"), wrong)).rejects.toMatchObject(refused);
  await expect(model.savePretrained(join(folder, "x"), { overWrite: true } as object)).rejects.toMatchObject({
    code: "OPTION_INVALID",
  });
  await expect(model.savePretrainedGguf(join(folder, "x"), { quantizationMethod: 5 } as object)).rejects.toMatchObject({
    code: "OPTION_INVALID",
  });
});
