// `random-model.ts FOLDER [--layers N]`: a model of random bfloat16 weights in the shape of the 1.1-billion Llamas, for benchmarks
// of speed and memory.
import { closeSync, copyFileSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

/** Sizes of a Llama. */
export interface Shape {
  hidden: number;
  intermediate: number;
  heads: number;
  kvHeads: number;
  layers: number;
  vocabulary: number;
}

/** The shape of TinyLlama: 1.1 billion weights, embedding and head apart. */
export const billion: Shape = {
  hidden: 2048,
  intermediate: 5632,
  heads: 32,
  kvHeads: 4,
  layers: 22,
  vocabulary: 32_000,
};

const tokenizerFiles = resolve(import.meta.dirname, "../../test/fixtures/models/llama");

/** Name and shape of every tensor. */
function tensors({ hidden, intermediate, heads, kvHeads, layers, vocabulary }: Shape): [string, number[]][] {
  const kv = (hidden / heads) * kvHeads;
  const list: [string, number[]][] = [["model.embed_tokens.weight", [vocabulary, hidden]]];
  for (let layer = 0; layer < layers; layer += 1) {
    const prefix = `model.layers.${layer}.`;
    const linear: [string, number, number][] = [
      ["self_attn.q_proj", hidden, hidden],
      ["self_attn.k_proj", kv, hidden],
      ["self_attn.v_proj", kv, hidden],
      ["self_attn.o_proj", hidden, hidden],
      ["mlp.gate_proj", intermediate, hidden],
      ["mlp.up_proj", intermediate, hidden],
      ["mlp.down_proj", hidden, intermediate],
    ];
    for (const [name, rows, columns] of linear) list.push([`${prefix}${name}.weight`, [rows, columns]]);
    for (const name of ["input_layernorm", "post_attention_layernorm"])
      list.push([`${prefix}${name}.weight`, [hidden]]);
  }
  list.push(["model.norm.weight", [hidden]], ["lm_head.weight", [vocabulary, hidden]]);
  return list;
}

/** 65,536 draws from a normal distribution of standard deviation 0.02 (Llama's `initializer_range`) as bfloat16. */
function draws(next: () => number): Uint16Array {
  const unit = () => (next() + 0.5) / 2 ** 32;
  const values = Float32Array.from({ length: 65_536 }, () => {
    const radius = Math.sqrt(-2 * Math.log(unit()));
    return 0.02 * radius * Math.cos(2 * Math.PI * unit());
  });
  // The upper half of a float32; the rest is cut off.
  return Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
}

/** Marsaglia's xorshift of 32 bits: the weights are the same on every machine. */
function xorshift(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

/** The configuration, as transformers writes it. */
const configOf = (shape: Shape) => ({
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  dtype: "bfloat16",
  hidden_size: shape.hidden,
  intermediate_size: shape.intermediate,
  num_hidden_layers: shape.layers,
  num_attention_heads: shape.heads,
  num_key_value_heads: shape.kvHeads,
  vocab_size: shape.vocabulary,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  rope_parameters: { rope_type: "default", rope_theta: 10_000 },
  hidden_act: "silu",
  tie_word_embeddings: false,
  attention_bias: false,
  mlp_bias: false,
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 0,
});

const count = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);

/** The header of a safetensors file of bfloat16 tensors that are stored end to end, with its length in front. */
function headerOf(list: readonly [string, number[]][]): Buffer {
  let offset = 0;
  const header: Record<string, unknown> = {};
  for (const [name, sizes] of list) {
    const end = offset + 2 * count(sizes);
    header[name] = { dtype: "BF16", shape: sizes, data_offsets: [offset, end] };
    offset = end;
  }
  const text = JSON.stringify(header);
  const padded = text.padEnd(Math.ceil(text.length / 64) * 64 + 56, " ");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, Buffer.from(padded)]);
}

/** Writes the model as a Hugging Face folder: norms are one, everything else is normal. Weights are drawn two at a time. */
export function writeRandomModel(folder: string, shape: Shape, seed = 1): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), `${JSON.stringify(configOf(shape), null, 1)}\n`);
  for (const name of ["tokenizer.json", "tokenizer_config.json"])
    copyFileSync(join(tokenizerFiles, name), join(folder, name));

  const list = tensors(shape);
  const file = openSync(join(folder, "model.safetensors"), "w");
  try {
    writeSync(file, headerOf(list));
    const next = xorshift(seed);
    const table = draws(next);
    const chunk = new Uint16Array(1 << 20);
    for (const [, sizes] of list) {
      for (let left = count(sizes); left > 0; left -= chunk.length) {
        const part = chunk.subarray(0, Math.min(chunk.length, left));
        if (sizes.length === 1) part.fill(0x3f80);
        else fill(part, next, table);
        writeSync(file, part);
      }
    }
  } finally {
    closeSync(file);
  }
}

/** Two weights of `table` with every number that `next` gives. */
function fill(part: Uint16Array, next: () => number, table: Uint16Array): void {
  for (let i = 0; i < part.length; i += 2) {
    const bits = next();
    part[i] = table[bits >>> 16] as number;
    part[i + 1] = table[bits & 0xffff] as number;
  }
}

/** Rows of random ids; every token is trained, or those after the first `prompt` of each row. */
export function randomRows(
  rows: number,
  length: number,
  vocabulary: number,
  prompt = 0,
): { input_ids: number[]; labels: number[] }[] {
  const next = xorshift(7);
  return Array.from({ length: rows }, () => {
    const ids = Array.from({ length }, () => next() % vocabulary);
    return { input_ids: ids, labels: ids.map((id, place) => (place < prompt ? -100 : id)) };
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { layers: { type: "string" } } });
  const [folder] = positionals;
  if (folder === undefined) throw new Error("[random-model] expected a folder to write, got none; give its path");
  writeRandomModel(folder, { ...billion, layers: Number(values.layers ?? billion.layers) });
}
