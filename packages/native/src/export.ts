// Models in other files, over the binding: merged folders and GGUF, written on threads of their own.
import { basename } from "node:path";
import {
  AbortError,
  type OptionKeys,
  type OutputPlace,
  originOf,
  parseKeys,
  writeOutputFile,
  writeOutputFolder,
} from "@tunesmith/core";
import { type Native, native, nativeAsync } from "./binding.ts";
import { boolean, integer, path, refuse, typedArray } from "./check.ts";

/** How far a file is: elements written, and all. */
export interface ExportProgress {
  done: number;
  total: number;
}

/** A model and what is merged into it. */
export interface MergeSource {
  /** Model folder or GGUF file. */
  model: string;
  /** PEFT adapter folder. Default: none, the model alone. */
  adapter?: string | null;
  /**
   * What the adapter is merged into: the weights as the files hold them, or the values they have after NF4 quantisation, which is
   * what an adapter saw that was trained on a 4-bit base (QLoRA). Default `original`.
   */
  base?: "original" | "nf4";
  /** NF4: elements that share a scale. Default 64 (bitsandbytes). */
  bnb4bitBlocksize?: number;
  /** NF4: the scales in eight bits. Default true (QLoRA). */
  bnb4bitUseDoubleQuant?: boolean;
}

/** How a long write is watched and stopped. */
export interface ExportControl {
  /**
   * Replace an earlier export at the output. Default false: refused. What is being read, and what was not written by these functions, is
   * never replaced.
   */
  overwrite?: boolean;
  /** Stops the write; the promise rejects with `AbortError` and nothing is left behind. */
  signal?: AbortSignal;
  /** Called after every tensor; what it throws is ignored. */
  onProgress?: (progress: ExportProgress) => void;
}

/** Element types of a merged model. */
export const mergeDtypes = ["float32", "float16", "bfloat16"] as const;
/** Element type of a merged model. */
export type MergeDtype = (typeof mergeDtypes)[number];

/** Types of a GGUF file's matrices, by their names in llama.cpp and Unsloth. */
export const ggufQuantizations = [
  "f32",
  "f16",
  "bf16",
  "q8_0",
  "q6_k",
  "q5_k_m",
  "q5_k_s",
  "q5_1",
  "q5_0",
  "q4_k_m",
  "q4_k_s",
  "iq4_nl",
  "q4_1",
  "q4_0",
  "q3_k_l",
  "q3_k_m",
  "q3_k_s",
] as const;
/** Type of a GGUF file's matrices. */
export type GgufQuantization = (typeof ggufQuantizations)[number];

/** Bytes of a shard unless told otherwise: Hugging Face's 5GB. */
export const defaultShardBytes = 5e9;

/** What the logits of a prompt say about a merged model. */
export interface LogitCheck {
  /** Positions compared. */
  tokens: number;
  /** Largest absolute difference of two logits. */
  largestDifference: number;
  /** Largest absolute logit. */
  largestLogit: number;
  /** Share of positions with the same likeliest token, from 0 to 1. */
  top1Agreement: number;
}

/** What {@link mergeModel} is asked for. */
export interface MergeOptions extends MergeSource, ExportControl {
  /** Folder to write. */
  output: string;
  dtype: MergeDtype;
  /** Bytes of a shard at most. Default 5e9 (Hugging Face). */
  maxShardBytes?: number;
}

/** What {@link exportGguf} is asked for. */
export interface GgufExportOptions extends MergeSource, ExportControl {
  /** File to write. */
  output: string;
  quantization: GgufQuantization;
  /**
   * File of an importance matrix as llama.cpp's `llama-imatrix` writes it, in its GGUF or its older format: columns that see large
   * numbers keep theirs better. Default: none, every column the same. Types without a search, 16 bits and more and q8_0, do not use it.
   */
  imatrix?: string;
}

/** What {@link exportGgufLora} is asked for. */
export interface GgufLoraOptions {
  /** Model that the adapter belongs to. */
  model: string;
  /** PEFT adapter folder. */
  adapter: string;
  /** File to write. */
  output: string;
  /** Default `f32`. */
  quantization?: "f32" | "f16" | "bf16";
  /** As {@link ExportControl.overwrite}. */
  overwrite?: boolean;
}

/** What {@link compareMerged} is asked for. */
export interface CompareOptions extends MergeSource {
  /** The merged model. */
  merged: string;
  /** Token ids of a prompt. */
  ids: Int32Array;
  /** CPU threads. Default 0: the physical cores. */
  threads?: number;
}

const sourceKeys: OptionKeys<MergeSource> = {
  model: "required",
  adapter: "optional",
  base: "optional",
  bnb4bitBlocksize: "optional",
  bnb4bitUseDoubleQuant: "optional",
};

/** Names of {@link ExportControl}. */
export const exportControlKeys: OptionKeys<ExportControl> = {
  overwrite: "optional flag",
  signal: "optional signal",
  onProgress: "optional function",
};

const mergeKeys: OptionKeys<MergeOptions> = {
  ...sourceKeys,
  ...exportControlKeys,
  output: "required path",
  dtype: "required",
  maxShardBytes: "optional",
};
const ggufKeys: OptionKeys<GgufExportOptions> = {
  ...sourceKeys,
  ...exportControlKeys,
  output: "required path",
  quantization: "required",
  imatrix: "optional path",
};
const ggufLoraKeys: OptionKeys<GgufLoraOptions> = {
  model: "required path",
  adapter: "required path",
  output: "required path",
  quantization: "optional",
  overwrite: "optional flag",
};
const compareKeys: OptionKeys<CompareOptions> = {
  ...sourceKeys,
  merged: "required path",
  ids: "required",
  threads: "optional",
};

/**
 * Writes a model, with an adapter merged in, as a Hugging Face folder: sharded safetensors, config.json, tokenizer, chat template
 * and generation_config.json. Memory stays within one tensor; the folder appears whole or not at all. Gives what a user of the folder
 * should know.
 */
export async function mergeModel(options: MergeOptions): Promise<string[]> {
  const given = parseKeys(mergeKeys, options, "mergeModel");
  const { output, dtype, maxShardBytes = defaultShardBytes } = given;
  const source = mergeSource("merge", given);
  oneOf("merge.dtype", dtype, mergeDtypes);
  integer("merge.maxShardBytes", maxShardBytes, 1, Number.MAX_SAFE_INTEGER);
  let notes: string[] = [];
  await writeOutputFolder(placeOf(output, source, given), async (folder) => {
    notes = await watched("merge", given, (onProgress, cancellation) =>
      nativeAsync((library) => library.mergeModel(source, folder, dtype, maxShardBytes, onProgress, cancellation)),
    );
  });
  return notes;
}

/**
 * Writes a model, with an adapter merged in, as one GGUF file with its tokenizer and chat template. Gives what a user of the file
 * should know. Rejects with `UnsupportedModelError` where llama.cpp has no architecture that computes the same.
 */
export async function exportGguf(options: GgufExportOptions): Promise<string[]> {
  const given = parseKeys(ggufKeys, options, "exportGguf");
  const { output, quantization, imatrix = null } = given;
  const source = mergeSource("exportGguf", given);
  oneOf("exportGguf.quantization", quantization, ggufQuantizations);
  const { inputs, ...place } = placeOf(output, source, given);
  const read = imatrix === null ? [] : [imatrix];
  return writeOutputFile({ ...place, inputs: [...inputs, ...read] }, (file) =>
    watched("exportGguf", given, (onProgress, cancellation) =>
      nativeAsync((library) => library.exportGguf(source, file, quantization, imatrix, onProgress, cancellation)),
    ),
  );
}

/** Writes an adapter as the GGUF file that llama.cpp's `--lora` takes. The model gives its configuration only. */
export async function exportGgufLora(options: GgufLoraOptions): Promise<void> {
  const given = parseKeys(ggufLoraKeys, options, "exportGgufLora");
  const { model, adapter, output, quantization = "f32" } = given;
  oneOf("exportGgufLora.quantization", quantization, ["f32", "f16", "bf16"]);
  await writeOutputFile(placeOf(output, { model, adapter }, given), (file) =>
    nativeAsync((library) => library.exportGgufLora(model, adapter, file, quantization)),
  );
}

/** Compares the logits of `ids` by the model with its adapter on and by the merged model. Both are loaded, one after the other. */
export async function compareMerged(options: CompareOptions): Promise<LogitCheck> {
  const given = parseKeys(compareKeys, options, "compareMerged");
  const { merged, ids, threads = 0 } = given;
  const source = mergeSource("compareMerged", given);
  typedArray("compareMerged.ids", ids, "Int32Array");
  integer("compareMerged.threads", threads, 0, 1024);
  return nativeAsync((library) => library.compareMerged(source, merged, ids, threads));
}

/** Where an export goes, and what it must not replace. */
function placeOf(
  path: string,
  { model, adapter = null }: Pick<MergeSource, "model" | "adapter">,
  { overwrite = false }: Pick<ExportControl, "overwrite">,
): OutputPlace {
  return { path, inputs: [model, ...(adapter === null ? [] : [adapter])], overwrite };
}

function mergeSource(place: string, options: MergeSource): Native.MergeSource {
  const { model, adapter = null, base = "original", bnb4bitBlocksize = 64, bnb4bitUseDoubleQuant = true } = options;
  const modelPath = path(`${place}.model`, model);
  const origin = originOf(modelPath);
  return {
    model: modelPath,
    ...(adapter === null ? {} : { adapter: path(`${place}.adapter`, adapter) }),
    ...(origin === null ? {} : { name: basename(origin.name) }),
    base: oneOf(`${place}.base`, base, ["original", "nf4"]),
    bnb4bitBlocksize: integer(`${place}.bnb4bitBlocksize`, bnb4bitBlocksize, 64, 4096),
    bnb4bitUseDoubleQuant: boolean(`${place}.bnb4bitUseDoubleQuant`, bnb4bitUseDoubleQuant),
  };
}

function oneOf<T extends string>(place: string, value: T, known: readonly T[]): T {
  return known.includes(value) ? value : refuse(place, known.map((name) => `"${name}"`).join(", "), value);
}

/** Runs a write with its progress and its way to stop. */
async function watched<T>(
  place: string,
  { signal, onProgress }: ExportControl,
  run: (onProgress: (done: number, total: number) => void, cancellation: Native.Cancellation) => Promise<T>,
): Promise<T> {
  const aborted = () => new AbortError(`[${place}] aborted; nothing was written`, { cause: signal?.reason });
  if (signal?.aborted) throw aborted();
  const cancellation = native((library) => new library.Cancellation());
  const abort = () => cancellation.cancel();
  signal?.addEventListener("abort", abort, { once: true });
  const tell = (done: number, total: number) => {
    try {
      onProgress?.({ done, total });
    } catch {
      // A watcher that fails does not stop the write.
    }
  };
  try {
    return await run(tell, cancellation);
  } catch (error) {
    throw signal?.aborted ? aborted() : error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
