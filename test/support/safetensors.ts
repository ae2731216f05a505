// Reads float32 tensors of a safetensors file, independently of the engine's reader.
import { readFileSync } from "node:fs";

/** Reads the float32 tensors of a safetensors file: for comparing files in tests, independently of the engine's reader. */
export function readSafetensors(path: string): Map<string, Float32Array> {
  const file = readFileSync(path);
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, 8 + headerLength)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Float32Array>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (entry.dtype !== "F32") throw new Error(`${path}: expected F32 in ${name}, got ${entry.dtype}`);
    const [start, end] = entry.data_offsets;
    const bytes = Uint8Array.prototype.slice.call(file, 8 + headerLength + start, 8 + headerLength + end);
    tensors.set(name, new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4));
  }
  return tensors;
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
