// Our quantised files against those of llama.cpp's own quantiser: the type of every tensor, and every byte of it.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gguf } from "@huggingface/gguf";
import { exportGguf, type GgufQuantization } from "@tunesmith/native";
import { describe, expect, test } from "vitest";
import { fixtures, temporaryFolder } from "../support/runs.ts";
import { llamaFolder, llamaInstalled } from "./support/llama.ts";
import { runProcess } from "./support/process.ts";

const libraries = join(llamaFolder, "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64");
const python = spawnSync("python3", ["--version"]).status === 0 ? "python3" : null;
const possible = llamaInstalled() && existsSync(libraries) && python !== null;

/** llama.h's numbers of the file types. */
const fileTypes = {
  ...{ q4_0: 2, q4_1: 3, q8_0: 7, q5_0: 8, q5_1: 9, q3_k_s: 11, q3_k_m: 12, q3_k_l: 13 },
  ...{ q4_k_s: 14, q4_k_m: 15, q5_k_s: 16, q5_k_m: 17, q6_k: 18, iq4_nl: 25 },
} satisfies Partial<Record<GgufQuantization, number>>;

interface Shape {
  hidden: number;
  intermediate: number;
  layers: number;
  heads: number;
  keyValueHeads: number;
  tied: boolean;
}

/** Rows of whole blocks of 256, and enough layers for the first and last eighth; and rows that are not, as SmolLM2 has them. */
const models: Record<string, Shape> = {
  "512 columns, own head": { hidden: 512, intermediate: 1536, layers: 8, heads: 8, keyValueHeads: 2, tied: false },
  "512 columns, tied, 16 layers": {
    hidden: 512,
    intermediate: 512,
    layers: 16,
    heads: 4,
    keyValueHeads: 2,
    tied: true,
  },
  "576 columns, tied": { hidden: 576, intermediate: 1536, layers: 4, heads: 9, keyValueHeads: 3, tied: true },
};

/** A llama of random weights that spread as a model's do, with the tokenizer of the tests. */
function generated({ hidden, intermediate, layers, heads, keyValueHeads, tied }: Shape): string {
  const folder = join(temporaryFolder(), "generated");
  cpSync(join(fixtures, "models/llama"), folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  const head = hidden / heads;
  Object.assign(config, {
    ...{ hidden_size: hidden, intermediate_size: intermediate, num_hidden_layers: layers, head_dim: head },
    ...{ num_attention_heads: heads, num_key_value_heads: keyValueHeads, tie_word_embeddings: tied },
  });
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const shapes: [string, number[]][] = [
    ["model.embed_tokens.weight", [config.vocab_size, hidden]],
    ["model.norm.weight", [hidden]],
  ];
  if (!tied) shapes.push(["lm_head.weight", [config.vocab_size, hidden]]);
  for (let layer = 0; layer < layers; layer += 1) {
    const name = (part: string) => `model.layers.${layer}.${part}.weight`;
    shapes.push(
      [name("input_layernorm"), [hidden]],
      [name("self_attn.q_proj"), [hidden, hidden]],
      [name("self_attn.k_proj"), [keyValueHeads * head, hidden]],
      [name("self_attn.v_proj"), [keyValueHeads * head, hidden]],
      [name("self_attn.o_proj"), [hidden, hidden]],
      [name("post_attention_layernorm"), [hidden]],
      [name("mlp.gate_proj"), [intermediate, hidden]],
      [name("mlp.up_proj"), [intermediate, hidden]],
      [name("mlp.down_proj"), [hidden, intermediate]],
    );
  }
  writeWeights(join(folder, "model.safetensors"), shapes);
  return folder;
}

function writeWeights(path: string, shapes: readonly [string, number[]][]): void {
  let offset = 0;
  const header: Record<string, object> = {};
  for (const [name, shape] of shapes) {
    const bytes = 4 * shape.reduce((product, size) => product * size, 1);
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const values = new Float32Array(offset / 4);
  let state = 12_345;
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 8) / 2 ** 24 - 0.5;
  };
  // The sum of three is nearly normal; a few are far out, as in a model.
  for (let place = 0; place < values.length; place += 1)
    values[place] = (uniform() + uniform() + uniform()) * (place % 997 === 0 ? 0.5 : 0.04);
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, Buffer.from(values.buffer)]));
}

/** Type and bytes of every tensor. */
async function tensorsOf(path: string): Promise<Map<string, { type: number; bytes: Buffer }>> {
  const { tensorInfos, tensorDataOffset } = await gguf(path, { allowLocalFile: true });
  const file = readFileSync(path);
  const start = Number(tensorDataOffset);
  const ends = tensorInfos.map(({ offset }) => Number(offset)).sort((one, other) => one - other);
  return new Map(
    tensorInfos.map(({ name, dtype, offset }) => {
      const from = Number(offset);
      const to = ends.find((end) => end > from) ?? file.length - start;
      return [name, { type: dtype, bytes: file.subarray(start + from, start + to) }];
    }),
  );
}

async function expectEqual(ours: string, theirs: string): Promise<void> {
  const [own, other] = [await tensorsOf(ours), await tensorsOf(theirs)];
  const types = (tensors: typeof own) =>
    Object.fromEntries([...tensors].map(([name, { type }]) => [name, type]).sort());
  expect(types(own)).toEqual(types(other));
  const differing = [...own].filter(([name, { bytes }]) => !bytes.equals(other.get(name)?.bytes ?? Buffer.of()));
  expect(differing.map(([name]) => name)).toEqual([]);
}

/** llama.cpp's file of a file in float32. */
async function quantizedByLlama(whole: string, type: number, importance?: string): Promise<string> {
  const output = join(temporaryFolder(), "theirs.gguf");
  const argv = [join(import.meta.dirname, "quantize_gguf.py"), libraries, whole, output, String(type)];
  await runProcess(python as string, importance === undefined ? argv : [...argv, importance]);
  return output;
}

describe.skipIf(!possible)("llama.cpp's quantiser (skipped unless installed by npm run peers:llama-cpp)", () => {
  for (const [name, shape] of Object.entries(models)) {
    test(`writes the same types and bytes for ${name}`, { timeout: 900_000 }, async () => {
      const folder = generated(shape);
      const whole = join(temporaryFolder(), "whole.gguf");
      await exportGguf({ model: folder, output: whole, quantization: "f32" });
      for (const [quantization, type] of Object.entries(fileTypes)) {
        const ours = join(temporaryFolder(), `${quantization}.gguf`);
        await exportGguf({ model: folder, output: ours, quantization: quantization as GgufQuantization });
        await expectEqual(ours, await quantizedByLlama(whole, type));
      }
    });
  }

  test("weighs columns by an importance matrix alike", { timeout: 900_000 }, async () => {
    const folder = generated({ ...(models["512 columns, own head"] as Shape), intermediate: 512, layers: 8 });
    const whole = join(temporaryFolder(), "whole.gguf");
    await exportGguf({ model: folder, output: whole, quantization: "f32" });
    const { tensorInfos } = await gguf(whole, { allowLocalFile: true });
    const matrices = tensorInfos.filter(({ shape }) => shape.length === 2);
    const rows = Object.fromEntries(
      matrices.map(({ name, shape }, index) => [
        name,
        Array.from({ length: Number(shape[0]) }, (_, column) => Math.fround(((column * 7 + index) % 31) / 8)),
      ]),
    );
    const [json, older] = [join(temporaryFolder(), "importance.json"), join(temporaryFolder(), "imatrix.dat")];
    writeFileSync(json, JSON.stringify(rows));
    writeFileSync(older, olderFormat(rows));
    for (const quantization of ["q4_k_m", "q3_k_m", "q6_k", "q5_0", "q4_0", "iq4_nl"] as const) {
      const ours = join(temporaryFolder(), `${quantization}.gguf`);
      await exportGguf({ model: folder, output: ours, quantization, imatrix: older });
      await expectEqual(ours, await quantizedByLlama(whole, fileTypes[quantization], json));
    }
  });
});

/** llama-imatrix's older format, of one call. */
function olderFormat(rows: Record<string, number[]>): Buffer {
  const number = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return bytes;
  };
  const parts = Object.entries(rows).flatMap(([name, row]) => {
    const text = Buffer.from(name);
    return [number(text.length), text, number(1), number(row.length), Buffer.from(Float32Array.from(row).buffer)];
  });
  return Buffer.concat([number(Object.keys(rows).length), ...parts]);
}
