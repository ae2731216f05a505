// Saving a model and its adapter: as they are, merged, or as GGUF, under Unsloth's names.
import { copyFile } from "node:fs/promises";
import { basename, join } from "node:path";
import {
  ArgumentError,
  expandHome,
  fileOperation,
  list,
  makeFolder,
  nearestName,
  OptionError,
  type OptionKeys,
  originOf,
  parseKeys,
  parseSize,
  writeOutputFolder,
} from "@tunesmith/core";
import {
  type ExportControl,
  exportControlKeys,
  exportGguf,
  exportGgufLora,
  type GgufQuantization,
  ggufQuantizations,
  type MergeDtype,
  type MergeSource,
  mergeModel,
  sixteenBitDtype,
  storedDtype,
} from "@tunesmith/native";

/** A model's path, and the adapter that belongs to it. */
export interface Saved {
  model: string;
  adapter: string | null;
}

type Base = Pick<MergeSource, "base" | "bnb4bitBlocksize" | "bnb4bitUseDoubleQuant">;

const baseKeys: OptionKeys<Base> = {
  base: "optional",
  bnb4bitBlocksize: "optional",
  bnb4bitUseDoubleQuant: "optional",
};

/** Options of `savePretrainedMerged`. */
export interface MergedOptions extends Base, ExportControl {
  /**
   * `merged_16bit` writes the model's own 16-bit type, bfloat16 where it has none; `merged_32bit` float32; `lora` the adapter
   * alone. Default `merged_16bit` (Unsloth).
   */
  saveMethod?: "merged_16bit" | "merged_32bit" | "lora";
  /** Element type in place of the one that `saveMethod` means. */
  dtype?: MergeDtype;
  /** Bytes of a shard at most, as a number or such as "5GB". Default "5GB" (Hugging Face). */
  maxShardSize?: number | string;
}

const mergedKeys: OptionKeys<MergedOptions> = {
  ...baseKeys,
  ...exportControlKeys,
  saveMethod: "optional text",
  dtype: "optional text",
  maxShardSize: "optional",
};

/** Types by the names Unsloth adds to llama.cpp's. */
const aliases = { not_quantized: "f16", fast_quantized: "q8_0", quantized: "q4_k_m" } as const;

/** A type of GGUF matrices, or Unsloth's name for one: `fast_quantized` is q8_0, `quantized` q4_k_m, `not_quantized` f16. */
export type QuantizationMethod = GgufQuantization | keyof typeof aliases;

/** Options of `savePretrainedGguf`. */
export interface GgufOptions extends Base, ExportControl {
  /** One type, or several, each written to a file of its own. Default `fast_quantized`, which is q8_0 (Unsloth). */
  quantizationMethod?: QuantizationMethod | readonly QuantizationMethod[];
  /** File of an importance matrix, as in `exportGguf`; not with `lora`. Default: none. */
  imatrix?: string;
  /** `lora` writes the adapter alone, for llama.cpp's `--lora`, in float32, or 16 bits where the type says so. Default `merged`. */
  saveMethod?: "merged" | "lora";
}

const ggufKeys: OptionKeys<GgufOptions> = {
  ...baseKeys,
  ...exportControlKeys,
  quantizationMethod: "optional",
  imatrix: "optional path",
  saveMethod: "optional text",
};

/** A GGUF file that was written. */
export interface GgufFile {
  path: string;
  /** What its user should know. */
  notes: string[];
}

const adapterFiles = ["adapter_config.json", "adapter_model.safetensors"];

/** What a folder of an adapter may hold besides, and what comes with it. */
const companions = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];
/** The folder of templates by name, such as that of rows with tools. */
const namedTemplates = "additional_chat_templates";

/** Writes the adapter as a PEFT folder, or the whole model where there is none. */
export async function saveAsIs({ model, adapter }: Saved, folder: string, options: ExportControl): Promise<void> {
  const control = parseKeys(exportControlKeys, options, "savePretrained");
  if (adapter !== null) return copyAdapter({ model, adapter }, folder, control);
  const dtype = (await storedDtype(model)) ?? "float32";
  await mergeModel({ ...control, model, output: folder, dtype });
}

/** Writes the merged model, or with `lora` the adapter. */
export async function saveMerged(saved: Saved, folder: string, options: MergedOptions): Promise<void> {
  const given = parseKeys(mergedKeys, options, "savePretrainedMerged");
  const { saveMethod = "merged_16bit", dtype, maxShardSize, ...rest } = given;
  if (saveMethod === "lora") {
    if (saved.adapter === null) throw noAdapter("savePretrainedMerged");
    return copyAdapter({ ...saved, adapter: saved.adapter }, folder, given);
  }
  const known = ["merged_16bit", "merged_32bit", "lora"];
  if (!known.includes(saveMethod)) throw unknown("saveMethod", saveMethod, known);
  await mergeModel({
    ...rest,
    ...saved,
    output: folder,
    dtype: dtype ?? (saveMethod === "merged_32bit" ? "float32" : await sixteenBitDtype(saved.model)),
    ...(maxShardSize === undefined ? {} : { maxShardBytes: parseSize("maxShardSize", maxShardSize) }),
  });
}

/** Writes GGUF files: `path` itself where it ends in `.gguf` and one type is asked for, else `NAME.TYPE.gguf` in that folder. */
export async function saveGguf(saved: Saved, to: string, options: GgufOptions): Promise<GgufFile[]> {
  const given = parseKeys(ggufKeys, options, "savePretrainedGguf");
  const { quantizationMethod = "fast_quantized", saveMethod = "merged", ...rest } = given;
  const path = outputPath(to);
  const methods = [quantizationMethod].flat().map((name) => quantizationOf(name));
  if (methods.length === 0)
    throw new ArgumentError("[quantizationMethod] expected at least one type, got none; name one");
  if (path.endsWith(".gguf") && methods.length > 1)
    throw new ArgumentError(
      `[savePretrainedGguf] expected a folder for ${methods.length} files, got ${path}; give a path without .gguf`,
    );
  const files: GgufFile[] = [];
  for (const quantization of methods) {
    const base = originOf(saved.model)?.name ?? saved.model;
    const name = `${basename(saved.adapter === null ? base : path).replace(/\.gguf$/u, "")}.${quantization.toUpperCase()}.gguf`;
    const output = path.endsWith(".gguf") ? path : join(path, name);
    if (saveMethod === "lora") {
      if (saved.adapter === null) throw noAdapter("savePretrainedGguf");
      if (rest.imatrix !== undefined)
        throw new OptionError(
          "[imatrix] expected none with saveMethod lora, whose factors are not quantised, got a file",
        );
      const type = quantization === "f16" || quantization === "bf16" ? quantization : "f32";
      const { overwrite = false } = rest;
      await exportGgufLora({ model: saved.model, adapter: saved.adapter, output, quantization: type, overwrite });
      files.push({ path: output, notes: [] });
    } else if (saveMethod === "merged") {
      files.push({ path: output, notes: await exportGguf({ ...rest, ...saved, output, quantization }) });
    } else {
      throw unknown("saveMethod", saveMethod, ["merged", "lora"]);
    }
  }
  return files;
}

/**
 * The type that a name of llama.cpp or Unsloth stands for, in capitals or small letters. `place` is what an error names.
 *
 * @throws OptionError for another name.
 */
export function quantizationOf(name: unknown, place = "quantizationMethod"): GgufQuantization {
  if (typeof name !== "string") throw unknown(place, name, ggufQuantizations);
  if (Object.hasOwn(aliases, name)) return aliases[name as keyof typeof aliases];
  const found = ggufQuantizations.find((known) => known === name.toLowerCase());
  if (found === undefined) throw unknown(place, name, [...ggufQuantizations, ...Object.keys(aliases)]);
  return found;
}

/** Copies a PEFT folder, whole or not at all. */
async function copyAdapter(
  { model, adapter }: Saved & { adapter: string },
  to: string,
  { overwrite = false }: ExportControl,
): Promise<void> {
  await writeOutputFolder({ path: outputPath(to), inputs: [model, adapter], overwrite }, async (folder) => {
    const there = await list(adapter);
    const templates = there.includes(namedTemplates) ? await list(join(adapter, namedTemplates)) : [];
    if (templates.length > 0) await makeFolder(join(folder, namedTemplates));
    const more = [
      ...companions.filter((name) => there.includes(name)),
      ...templates.map((name) => join(namedTemplates, name)),
    ];
    for (const name of [...adapterFiles, ...more]) {
      const source = join(adapter, name);
      await fileOperation("copy", source, () => copyFile(source, join(folder, name)));
    }
  });
}

/** Where to write; from JavaScript it may be anything. */
function outputPath(path: unknown): string {
  if (typeof path === "string" && path !== "") return expandHome(path);
  throw new ArgumentError(`[path] expected where to write, got ${JSON.stringify(path) ?? typeof path}; give a path`);
}

function noAdapter(place: string): ArgumentError {
  return new ArgumentError(
    `[${place}] expected a model with an adapter, got one without; train one, or open the model with the option adapter`,
  );
}

function unknown(option: string, got: unknown, known: readonly string[]): OptionError {
  const nearest = typeof got === "string" ? nearestName(got, known) : null;
  const hint = nearest === null ? "choose one of these" : `did you mean ${nearest}?`;
  return new OptionError(`[${option}] expected ${known.join(", ")}, got ${JSON.stringify(got)}; ${hint}`);
}
