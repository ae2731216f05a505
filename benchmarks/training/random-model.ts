// `random-model.ts FOLDER [--layers N]`: a model of random bfloat16 weights in the shape of the 1.1-billion Llamas, for benchmarks
// of speed and memory.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { type Shape, shapes, writeRandomModel as write, xorshift } from "../../packages/cli/src/bench/random-model.ts";

/** The shape of TinyLlama: 1.1 billion weights, embedding and head apart. */
export const billion: Shape = shapes["tinyllama-1.1b"];

const tokenizerFiles = resolve(import.meta.dirname, "../../test/fixtures/models/llama");

/** Writes the model as a Hugging Face folder, with the tokenizer of the small models. */
export function writeRandomModel(folder: string, shape: Shape): void {
  const names = ["tokenizer.json", "tokenizer_config.json"];
  write(
    folder,
    shape,
    Object.fromEntries(names.map((name) => [name, readFileSync(join(tokenizerFiles, name), "utf8")])),
  );
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
