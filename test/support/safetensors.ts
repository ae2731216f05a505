// Reads the tensors of a safetensors file, independently of the engine's reader.
import { readFileSync, writeFileSync } from "node:fs";

/** Reads the tensors of a safetensors file, all of them float32 unless others are to be skipped: for comparing files in tests. */
export function readSafetensors(path: string, { others }: { others?: "skip" } = {}): Map<string, Float32Array> {
  const tensors = new Map<string, Float32Array>();
  for (const { name, dtype, bytes } of entries(path)) {
    if (dtype !== "F32" && others === "skip") continue;
    if (dtype !== "F32") throw new Error(`${path}: expected F32 in ${name}, got ${dtype}`);
    tensors.set(name, new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4));
  }
  return tensors;
}

/** Reads those tensors of a safetensors file that are int64: `[rows][columns]`. */
export function readIntegers(path: string): Map<string, number[][]> {
  const tensors = new Map<string, number[][]>();
  for (const { name, dtype, shape, bytes } of entries(path)) {
    if (dtype !== "I64") continue;
    const numbers = Array.from(new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8), Number);
    const columns = shape.at(-1) ?? 1;
    const rows = Array.from({ length: numbers.length / columns }, (_, row) => row * columns);
    tensors.set(
      name,
      rows.map((start) => numbers.slice(start, start + columns)),
    );
  }
  return tensors;
}

/** Writes zeros over one row of a tensor. */
export function emptyRow(path: string, tensor: string, row: number): void {
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const { shape, data_offsets: offsets } = (JSON.parse(file.toString("utf8", 8, start)) as Record<string, Entry>)[
    tensor
  ] as Entry;
  const [from, to] = offsets;
  const bytes = (to - from) / (shape[0] as number);
  file.fill(0, start + from + row * bytes, start + from + (row + 1) * bytes);
  writeFileSync(path, file);
}

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

function* entries(path: string): Generator<Omit<Entry, "data_offsets"> & { name: string; bytes: Uint8Array }> {
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, start)) as Record<string, Entry>;
  for (const [name, { data_offsets: offsets, ...entry }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [from, to] = offsets;
    yield { name, ...entry, bytes: Uint8Array.prototype.slice.call(file, start + from, start + to) };
  }
}

/** Largest absolute error over largest absolute reference, the worst tensor of two files; infinite when their names differ. */
export function tensorError(got: Map<string, Float32Array>, expected: Map<string, Float32Array>): number {
  if ([...got.keys()].sort().join() !== [...expected.keys()].sort().join()) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (const [name, reference] of expected) {
    const values = got.get(name) as Float32Array;
    if (values.length !== reference.length) return Number.POSITIVE_INFINITY;
    let [error, largest] = [0, 0];
    for (const [index, value] of reference.entries()) {
      error = Math.max(error, Math.abs((values[index] as number) - value));
      largest = Math.max(largest, Math.abs(value));
    }
    worst = Math.max(worst, largest === 0 ? error : error / largest);
  }
  return worst;
}
