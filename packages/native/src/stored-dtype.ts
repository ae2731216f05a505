// The element type of a model's weights, as its files name it.
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { MergeDtype } from "./export.ts";

/** The model's own 16-bit type; bfloat16 where it has another. A GGUF file's values are finer than bfloat16. */
export async function sixteenBitDtype(model: string): Promise<MergeDtype> {
  const stored = await storedDtype(model);
  return stored === "float16" || (stored === null && model.endsWith(".gguf")) ? "float16" : "bfloat16";
}

/** The element type that a Hugging Face folder says its weights are in; null where it names none of these, or is no folder. */
export async function storedDtype(model: string): Promise<MergeDtype | null> {
  const { dtype, torch_dtype } = await readConfig(join(model, "config.json"));
  const found = dtype ?? torch_dtype;
  return found === "float16" || found === "bfloat16" || found === "float32" ? found : null;
}

/** Empty where there is none that can be read: what is wrong with it is said by whoever opens the model. */
async function readConfig(path: string): Promise<{ dtype?: unknown; torch_dtype?: unknown }> {
  try {
    // A pipe would be waited for.
    const text = (await stat(path)).isFile() ? await readFile(path, "utf8") : "null";
    return (JSON.parse(text) as object | null) ?? {};
  } catch {
    return {};
  }
}
