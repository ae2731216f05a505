// How a model's weights are held, checked and in the form the binding takes.
import { defaultWeightOptions, type WeightOptions } from "@tunesmith/core";
import type { Native } from "./binding.ts";
import { boolean, path, refuse } from "./check.ts";

/** The part of a session's options that every session of a model shares. */
export type NativeWeights = Pick<Native.SessionOptions, "dtype" | "quantization">;

const dtypes = ["auto", "float32", "bfloat16"];
const blockSizes = [64, 128, 256, 512, 1024, 2048, 4096];

/** Options with their defaults, each checked. */
export function checkedWeightOptions(given: Partial<WeightOptions>): WeightOptions {
  const options = { ...defaultWeightOptions };
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(options, name)) refuse("loadModel.options", `one of ${Object.keys(options).join(", ")}`, name);
    if (value !== undefined) Object.assign(options, { [name]: value });
  }
  const { dtype, bnb4bitQuantType, bnb4bitBlocksize } = options;
  if (!dtypes.includes(dtype)) refuse("loadModel.dtype", dtypes.join(", "), dtype);
  if (bnb4bitQuantType !== "nf4") refuse("loadModel.bnb4bitQuantType", '"nf4"', bnb4bitQuantType);
  if (!blockSizes.includes(bnb4bitBlocksize))
    refuse("loadModel.bnb4bitBlocksize", blockSizes.join(", "), bnb4bitBlocksize);
  boolean("loadModel.loadIn4bit", options.loadIn4bit);
  boolean("loadModel.bnb4bitUseDoubleQuant", options.bnb4bitUseDoubleQuant);
  return options;
}

/** The same as the binding takes it. */
export function nativeWeights(options: WeightOptions, cacheDir: string | null): NativeWeights {
  const { dtype, loadIn4bit, bnb4bitBlocksize, bnb4bitUseDoubleQuant } = options;
  const cache = cacheDir === null ? {} : { cacheDir: path("loadModel.quantizedCacheDir", cacheDir) };
  if (!loadIn4bit) return { dtype };
  return { dtype, quantization: { blockSize: bnb4bitBlocksize, doubleQuant: bnb4bitUseDoubleQuant, ...cache } };
}
