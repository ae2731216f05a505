// A tiny model, options and batches for the tests of this package.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Batch, parameterKinds, type SessionOptions } from "@tunesmith/core";
import { onTestFinished } from "vitest";

/** The project's fixtures. */
export const fixtures = resolve(import.meta.dirname, "../../../test/fixtures");

/** A tiny random model. */
export const tinyModel = join(fixtures, "models/llama");

/** A LoRA session of rank 4 on every linear layer. */
export const loraSession: SessionOptions = {
  adapter: { type: "lora", r: 4, loraAlpha: 8 },
  optimizer: { type: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  parameterGroups: parameterKinds.map((kind) => ({ name: kind, parameters: [kind], rate: 1e-3, decay: 0 })),
  gradientCheckpointing: false,
  seed: 1,
};

/** Every weight trained. */
export const fullSession: SessionOptions = { ...loraSession, adapter: null };

/** A packed batch of rows whose every token is trained. */
export function batchOf(...rows: number[][]): Batch {
  const starts = [0];
  for (const row of rows) starts.push((starts.at(-1) as number) + row.length);
  return {
    inputIds: Int32Array.from(rows.flat()),
    labels: Int32Array.from(rows.flat()),
    positions: Int32Array.from(rows.flatMap((row) => row.map((_, position) => position))),
    sequenceStarts: Int32Array.from(starts),
    microBatch: Int32Array.from(rows, () => 0),
    rowIds: Int32Array.from(rows, (_, row) => row),
  };
}

/** What `accumulate` is told besides the batch. */
export const firstStep = { objective: { type: "nll" }, step: 0, seed: 0 } as const;

/** A folder that goes away with the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-native-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
