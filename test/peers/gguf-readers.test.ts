// Other readers of GGUF find in our files what we wrote: @huggingface/gguf, and the PyPI package where its environment is.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { GGMLQuantizationType, gguf } from "@huggingface/gguf";
import { exportGguf, exportGgufLora, ggufQuantizations } from "@tunesmith/native";
import { describe, expect, test } from "vitest";
import { fixtures, temporaryFolder } from "../support/runs.ts";
import { readSafetensors } from "../support/safetensors.ts";
import { runProcess } from "./support/process.ts";

const folder = join(fixtures, "models-extra/gguf-llama");
const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
const python = process.env.TUNESMITH_PEER_ENV === undefined ? null : join(process.env.TUNESMITH_PEER_ENV, "bin/python");

async function exported(quantization: (typeof ggufQuantizations)[number]): Promise<string> {
  const output = join(temporaryFolder(), `model.${quantization}.gguf`);
  await exportGguf({ model: folder, output, quantization });
  return output;
}

/** What llama.cpp puts in place of a type whose blocks are longer than this model's rows. */
const substitutes: Record<string, string> = {
  ...{ q6_k: "Q8_0", q5_k_m: "Q5_1", q5_k_s: "Q5_1", q4_k_m: "Q5_0", q4_k_s: "Q5_0" },
  ...{ q3_k_l: "Q5_1", q3_k_m: "Q5_0", q3_k_s: "Q4_0" },
};

describe("@huggingface/gguf", () => {
  test.each(ggufQuantizations)("reads configuration, tokenizer and tensors of %s", async (quantization) => {
    const { metadata, tensorInfos } = await gguf(await exported(quantization), { allowLocalFile: true });
    const keys = metadata as unknown as Record<string, unknown>;
    expect(keys).toMatchObject({
      version: 3,
      "general.architecture": "llama",
      "llama.block_count": config.num_hidden_layers,
      "llama.embedding_length": config.hidden_size,
      "llama.vocab_size": config.vocab_size,
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "gpt-2",
      "tokenizer.chat_template": readFileSync(join(folder, "chat_template.jinja"), "utf8"),
    });
    expect(keys["tokenizer.ggml.tokens"]).toHaveLength(config.vocab_size);
    const matrix = tensorInfos.find(({ name }) => name === "blk.0.ffn_down.weight");
    expect(matrix?.shape.map(Number)).toEqual([config.intermediate_size, config.hidden_size]);
    expect(GGMLQuantizationType[matrix?.dtype as number]).toBe(substitutes[quantization] ?? quantization.toUpperCase());
    const norm = tensorInfos.find(({ name }) => name === "output_norm.weight");
    expect(norm?.dtype).toBe(GGMLQuantizationType.F32);
    // Nine tensors a layer, embedding, norm and head, and the divisors of Llama 3's scaling.
    expect(tensorInfos).toHaveLength(9 * config.num_hidden_layers + 4);
  });

  test("reads an adapter", async () => {
    const output = join(temporaryFolder(), "lora.gguf");
    const model = join(fixtures, "models/llama");
    await exportGgufLora({ model, adapter: join(fixtures, "goldens/llama/lora/adapter_end"), output });
    const { metadata, tensorInfos } = await gguf(output, { allowLocalFile: true });
    const adapter = JSON.parse(
      readFileSync(join(fixtures, "goldens/llama/lora/adapter_end/adapter_config.json"), "utf8"),
    );
    expect(metadata).toMatchObject({
      "general.type": "adapter",
      "adapter.type": "lora",
      "adapter.lora.alpha": adapter.lora_alpha,
    });
    const names = tensorInfos.map(({ name }) => name);
    expect(names).toContain("blk.0.attn_q.weight.lora_a");
    expect(names.filter((name) => name.endsWith(".lora_b"))).toHaveLength(names.length / 2);
  });
});

interface PythonFile {
  keys: Record<string, unknown>;
  tensors: Record<string, { type: string; shape: number[]; sha256: string }>;
}

describe.skipIf(python === null || !existsSync(python))("PyPI gguf (skipped without TUNESMITH_PEER_ENV)", () => {
  const read = async (file: string): Promise<PythonFile> =>
    JSON.parse(await runProcess(python as string, [join(import.meta.dirname, "read_gguf.py"), file])) as PythonFile;

  test("finds the keys of its own file in ours, and the same values in every tensor", async () => {
    // The package's other files of this model were made of weights already rounded; blocks are compared in the Rust tests.
    for (const quantization of ["f32", "f16"] as const) {
      const [ours, theirs] = [
        await read(await exported(quantization)),
        await read(join(folder, `${quantization}.gguf`)),
      ];
      const named = (name: string) => !name.startsWith("general.") && !name.startsWith("GGUF.");
      for (const [key, value] of Object.entries(theirs.keys).filter(([key]) => named(key)))
        expect([key, ours.keys[key]]).toEqual([key, value]);
      expect(Object.keys(ours.tensors).sort()).toEqual(Object.keys(theirs.tensors).sort());
      for (const [name, tensor] of Object.entries(theirs.tensors)) {
        // The divisors are computed, and may differ in the last bit.
        if (name !== "rope_freqs.weight") expect([name, ours.tensors[name]]).toEqual([name, tensor]);
      }
    }
  });

  test("dequantises what went in", async () => {
    const { tensors } = await read(await exported("f32"));
    const original = readSafetensors(join(folder, "model.safetensors")).get("model.layers.0.mlp.up_proj.weight");
    const hash = createHash("sha256")
      .update(new Uint8Array((original as Float32Array).slice().buffer))
      .digest("hex");
    expect(tensors["blk.0.ffn_up.weight"]?.sha256).toBe(hash);
  });
});
