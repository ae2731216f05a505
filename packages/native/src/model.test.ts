import { cpSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { batchOf, fixtures, loraSession, temporaryFolder, tinyModel } from "../test/fixture.ts";
import { loadModel, mergeModel, systemInfo } from "./index.ts";

describe("loadModel", () => {
  test("tells what the configuration says", async () => {
    const config = JSON.parse(readFileSync(join(tinyModel, "config.json"), "utf8"));
    const { info, tokenizer } = await loadModel(tinyModel);
    expect(info).toMatchObject({
      path: tinyModel,
      modelType: config.model_type,
      vocabSize: config.vocab_size,
      hiddenSize: config.hidden_size,
      numHiddenLayers: config.num_hidden_layers,
      maxPositionEmbeddings: config.max_position_embeddings,
    });
    expect(info.eosTokenIds).toContain(tokenizer.info.eosToken?.id);
    expect(info.weightBytes).toBeGreaterThan(info.vocabSize * info.hiddenSize * 4);
  });

  test("a GGUF file and the folder it was made from give the same losses", async () => {
    const folder = join(fixtures, "models-extra/gguf-llama");
    const losses = [];
    for (const path of [folder, join(folder, "f32.gguf")]) {
      const session = await (await loadModel(path)).createGenerator();
      losses.push((await session.evaluate(batchOf([3, 8, 20, 33, 4]))).lossSum[0]);
      session.dispose();
    }
    expect(losses[1]).toBeCloseTo(losses[0] as number, 4);
  });

  test("files that are missing, cut short or of another family are typed errors", async () => {
    await expect(loadModel(join(tinyModel, "none"))).rejects.toMatchObject({
      name: "ModelFileError",
      code: "FILE_MISSING",
    });
    const folder = temporaryFolder();
    cpSync(tinyModel, folder, { recursive: true });
    const weights = join(folder, "model.safetensors");
    truncateSync(weights, 5_000);
    await expect(loadModel(folder)).rejects.toMatchObject({ name: "ModelFileError", code: "FILE_INVALID" });
    cpSync(join(tinyModel, "model.safetensors"), weights);
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    const configured = (change: object) =>
      writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, ...change }));
    configured({ model_type: "mamba" });
    await expect(loadModel(folder)).rejects.toMatchObject({
      name: "UnsupportedModelError",
      message: expect.stringMatching(/mamba|llama/),
    });
    configured({ num_attention_heads: -1 });
    await expect(loadModel(folder)).rejects.toMatchObject({ name: "ConfigError", code: "CONFIG_INVALID" });
    configured({ hidden_size: config.hidden_size * 2 });
    await expect(loadModel(folder)).rejects.toMatchObject({ code: "FILE_INVALID" });
  });

  test("files that nothing uses are named before a weight is read, and by a merge as well", async () => {
    const folder = temporaryFolder();
    cpSync(tinyModel, folder, { recursive: true });
    expect((await loadModel(folder)).info.warnings).toEqual([]);
    const index = { weight_map: { "model.norm.weight": "model.safetensors", stale: "model.safetensors" } };
    writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
    const named = [expect.stringContaining("model.safetensors is used")];
    expect((await loadModel(folder)).info.warnings).toEqual(named);
    const output = join(temporaryFolder(), "merged");
    expect(await mergeModel({ model: folder, output, dtype: "float32" })).toEqual(named);
    renameSync(join(folder, "model.safetensors"), join(folder, "part.safetensors"));
    writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify(index).replaceAll("model.s", "part.s"));
    expect((await loadModel(folder)).info.warnings).toEqual([expect.stringMatching(/not used: `stale`$/u)]);
  });

  test("a failed session does not stand in the way of the next", async () => {
    const model = await loadModel(tinyModel);
    const nowhere = {
      ...loraSession,
      adapter: { ...loraSession.adapter, targetModules: ["p_proj"] },
    } as typeof loraSession;
    await expect(model.createSession(nowhere)).rejects.toMatchObject({
      name: "ArgumentError",
      message: expect.stringContaining("p_proj"),
    });
    await expect(model.createGenerator({ adapter: { type: "saved", path: tinyModel } })).rejects.toMatchObject({
      code: "FILE_MISSING",
    });
    const session = await model.createSession(loraSession);
    session.dispose();
  });
});

test("systemInfo tells of the build and the machine", () => {
  const info = systemInfo();
  expect(info).toMatchObject({ platform: process.platform, arch: process.arch });
  // Exactly one of the two is known: the device, or what it lacks.
  expect(info.cudaDevice === null).toBe(info.cudaMissing !== null);
  expect(info.backends).toEqual(info.cudaDevice === null ? ["cpu"] : ["cuda", "cpu"]);
  expect(["avx512", "avx2", "portable"]).toContain(info.instructionSet);
  expect(info.version).toMatch(/^\d+\.\d+\.\d+/);
  expect(info.availableMemory).toBeLessThanOrEqual(info.totalMemory);
});

test.skipIf(systemInfo().cudaDevice !== null)(
  "without CUDA, `cuda` is a typed error and `auto` says why it is not",
  async () => {
    const wanted = await loadModel(tinyModel, { device: "cuda" });
    await expect(wanted.createSession(loraSession)).rejects.toMatchObject({
      name: "DeviceUnavailableError",
      code: "DEVICE_UNAVAILABLE",
      message: expect.stringMatching(/^\[cuda\] expected /),
    });
    const session = await (await loadModel(tinyModel, { device: "auto" })).createSession(loraSession);
    expect(session.info).toMatchObject({ backend: "cpu", backendNote: expect.stringMatching(/^\[cuda\] expected /) });
    session.dispose();
  },
);
