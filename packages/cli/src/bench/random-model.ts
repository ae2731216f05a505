// Models of random bfloat16 weights in the shape of known ones, for measurements: how fast a step is does not depend on what is in them.
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Sizes of a Llama. */
export interface Shape {
  hidden: number;
  intermediate: number;
  heads: number;
  kvHeads: number;
  layers: number;
  vocabulary: number;
  /** Whether the head is the embedding. Default false. */
  tied?: boolean;
}

/** Shapes by name, as their models' configurations have them. */
export const shapes = {
  /** For trying the command out: it stays in caches, so that its shares of limits say nothing. */
  tiny: { hidden: 64, intermediate: 256, heads: 4, kvHeads: 2, layers: 2, vocabulary: 8192, tied: true },
  "smollm2-135m": {
    ...{ hidden: 576, intermediate: 1536, heads: 9, kvHeads: 3, layers: 30 },
    ...{ vocabulary: 49_152, tied: true },
  },
  /** 1.1 billion weights, embedding and head apart. */
  "tinyllama-1.1b": { hidden: 2048, intermediate: 5632, heads: 32, kvHeads: 4, layers: 22, vocabulary: 32_000 },
} as const satisfies Record<string, Shape>;

/** The name of a shape. */
export type ShapeName = keyof typeof shapes;

/** Name and shape of every matrix that a token goes through. */
function matrices({ hidden, intermediate, heads, kvHeads, layers, vocabulary, tied = false }: Shape) {
  const kv = (hidden / heads) * kvHeads;
  const list: [string, number[]][] = [];
  for (let layer = 0; layer < layers; layer += 1) {
    const linear: [string, number[]][] = [
      ["self_attn.q_proj", [hidden, hidden]],
      ["self_attn.k_proj", [kv, hidden]],
      ["self_attn.v_proj", [kv, hidden]],
      ["self_attn.o_proj", [hidden, hidden]],
      ["mlp.gate_proj", [intermediate, hidden]],
      ["mlp.up_proj", [intermediate, hidden]],
      ["mlp.down_proj", [hidden, intermediate]],
    ];
    for (const [name, sizes] of linear) list.push([`model.layers.${layer}.${name}.weight`, sizes]);
  }
  list.push([tied ? "model.embed_tokens.weight" : "lm_head.weight", [vocabulary, hidden]]);
  return list;
}

/** Weights that a token is multiplied with: those of every projection and of the head. */
export function weightsOfToken(shape: Shape): number {
  return matrices(shape).reduce((sum, [, sizes]) => sum + count(sizes), 0);
}

/** All weights. */
export function weightsOf(shape: Shape): number {
  return tensors(shape).reduce((sum, [, sizes]) => sum + count(sizes), 0);
}

/** Name and shape of every tensor. */
function tensors(shape: Shape): [string, number[]][] {
  const { hidden, layers, vocabulary, tied = false } = shape;
  const list = matrices(shape);
  if (!tied) list.push(["model.embed_tokens.weight", [vocabulary, hidden]]);
  for (let layer = 0; layer < layers; layer += 1)
    for (const name of ["input_layernorm", "post_attention_layernorm"])
      list.push([`model.layers.${layer}.${name}.weight`, [hidden]]);
  list.push(["model.norm.weight", [hidden]]);
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

/** Marsaglia's xorshift of 32 bits: numbers are the same on every machine. */
export function xorshift(seed: number): () => number {
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
  tie_word_embeddings: shape.tied ?? false,
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

/**
 * Writes a model as a Hugging Face folder: norms are one, everything else is normal. Weights are drawn two at a time.
 *
 * @param files of the tokenizer: their texts by name
 */
export function writeRandomModel(
  folder: string,
  shape: Shape,
  files: Readonly<Record<string, string>>,
  seed = 1,
): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), `${JSON.stringify(configOf(shape), null, 1)}\n`);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
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
