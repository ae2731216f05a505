// Reads checkpoints: every file against the manifest, every value against its schema.
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { CheckpointError, digestFile, removeLeftovers } from "@tunesmith/core";
import * as z from "zod";
import {
  type Checkpoint,
  checkpointName,
  files,
  listCheckpoints,
  type Manifest,
  manifestName,
  optimizerFile,
  requiredFiles,
} from "./checkpoint.ts";
import { callbackStatesSchema } from "./hooks/callback-states.ts";
import { dataStateSchema, trainerStateSchema } from "./state.ts";

const manifestSchema: z.ZodType<Manifest> = z.object({
  files: z.record(z.string(), z.object({ size: z.int().nonnegative(), sha256: z.string() })),
  modelOnly: z.boolean().optional(),
});

/** Reads a checkpoint after checking every file against the manifest. What is damaged is a `CheckpointError`. */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  const manifest = await readJson(path, manifestName, manifestSchema);
  for (const [file, expected] of Object.entries(manifest.files)) {
    // A name out of the manifest must not lead out of the folder.
    if (basename(file) !== file) throw damaged(path, `a plain file name in ${manifestName}`, JSON.stringify(file));
    const actual = await digestFile(join(path, file)).catch((cause: Error) => {
      throw damaged(path, `the file ${file}`, cause.message);
    });
    if (actual.size !== expected.size) throw damaged(path, `${expected.size} bytes in ${file}`, String(actual.size));
    if (actual.sha256 !== expected.sha256) throw damaged(path, `SHA-256 ${expected.sha256} for ${file}`, actual.sha256);
  }
  for (const names of requiredFiles) {
    if (names[0] === optimizerFile && manifest.modelOnly === true) throw modelOnly(path);
    if (!names.some((name) => manifest.files[name] !== undefined))
      throw damaged(path, `${names.join(" or ")} in ${manifestName}`, "nothing");
  }
  const trainer = await readJson(path, files.trainer, trainerStateSchema);
  const data = await readJson(path, files.data, dataStateSchema);
  const has = (file: string) => manifest.files[file] !== undefined;
  const recipe = has(files.recipe) ? await readJson(path, files.recipe, z.json()) : undefined;
  const callbacks = has(files.callbacks) ? await readJson(path, files.callbacks, callbackStatesSchema) : undefined;
  const { global_step: step } = trainer;
  const named = /^checkpoint-\d+$/u.test(basename(path)) ? basename(path) : checkpointName(step);
  if (named !== checkpointName(step) || data.global_step !== step)
    throw damaged(path, `one step in its name, ${files.trainer} and ${files.data}`, `${step} and ${data.global_step}`);
  return { path, trainer, data, recipe, callbacks };
}

/**
 * The newest whole checkpoint of a run folder, once what a killed run left there has been looked after; null where there is none at
 * all. Where there are some and none is whole, that is a `CheckpointError`.
 *
 * @param warn is told about each newer one that is damaged
 * @param before only those of steps before this one
 */
export async function newestCheckpoint(
  runDir: string,
  warn: (message: string) => void,
  before = Number.POSITIVE_INFINITY,
): Promise<Checkpoint | null> {
  await removeLeftovers(runDir);
  const steps = await listCheckpoints(runDir);
  for (const step of steps.filter((one) => one < before).reverse()) {
    try {
      return await readCheckpoint(join(runDir, checkpointName(step)));
    } catch (error) {
      if (!CheckpointError.isInstance(error) || error.code !== "CHECKPOINT_INVALID") throw error;
      warn(`${error.message}; an older checkpoint is used`);
    }
  }
  if (steps.length === 0) return null;
  throw new CheckpointError(
    `[${runDir}] expected a checkpoint to continue from, got none that is whole; remove the damaged ones to begin from the start, or start a new run with another outputDir`,
  );
}

async function readJson<T>(path: string, file: string, schema: z.ZodType<T>): Promise<T> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(join(path, file), "utf8"));
  } catch (cause) {
    throw damaged(path, `a readable ${file}`, (cause as Error).message, cause);
  }
  const { data, error } = schema.safeParse(value);
  if (error === undefined) return data as T;
  const [issue] = error.issues;
  const place = issue?.path.join(".") || "its value";
  throw damaged(path, `a whole ${file}`, `one where ${place} is wrong: ${issue?.message}`, error);
}

function modelOnly(path: string): CheckpointError {
  return new CheckpointError(
    `[${path}] expected the optimizer's state to go on with, got the model alone (saveOnlyModel); start a new run from what lies there`,
  );
}

function damaged(path: string, expected: string, got: string, cause?: unknown): CheckpointError {
  const hint = "this checkpoint is damaged: resume from an older one";
  return new CheckpointError(`[${path}] expected ${expected}, got ${got}`, { cause, hint });
}
