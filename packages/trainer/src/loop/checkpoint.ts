// Checkpoints: written whole or not at all, checked against their manifest when read.
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import {
  CheckpointError,
  digestFile,
  list,
  removeFolder,
  removeLeftovers,
  replaceFolder,
  writeText,
} from "@tunesmith/core";
import type { DataState, TrainerState } from "./state.ts";

const manifestName = "MANIFEST.json";

/** Files of a checkpoint next to weights and optimizer state; the last one only where a recipe has state of its own. */
const files = { trainer: "trainer_state.json", data: "data_state.json", recipe: "recipe_state.json" } as const;

interface Manifest {
  files: Record<string, { size: number; sha256: string }>;
}

/** What a checkpoint holds next to weights and optimizer state. */
export interface CheckpointState {
  trainer: TrainerState;
  data: DataState;
  /** State of the recipe, a JSON value; undefined where it has none. */
  recipe: unknown;
}

/** A checkpoint that was read and found whole. */
export interface Checkpoint extends CheckpointState {
  path: string;
}

/** Name of the checkpoint folder of a step (Hugging Face's). */
export function checkpointName(step: number): string {
  return `checkpoint-${step}`;
}

/** Steps of the checkpoints in a run folder, ascending, whole or not. */
export async function listCheckpoints(runDir: string): Promise<number[]> {
  const steps = (await list(runDir)).flatMap((name) => {
    const match = /^checkpoint-(\d+)$/u.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
  return steps.sort((a, b) => a - b);
}

/**
 * Writes a checkpoint so that it is either there and whole or not there.
 *
 * @param writeWeights writes model or adapter and optimizer state into an existing folder
 */
export async function writeCheckpoint(
  runDir: string,
  state: CheckpointState,
  writeWeights: (dir: string) => Promise<void>,
): Promise<string> {
  const path = join(runDir, checkpointName(state.trainer.global_step));
  await replaceFolder(path, async (folder) => {
    await writeWeights(folder);
    for (const part of ["trainer", "data", "recipe"] as const)
      if (state[part] !== undefined) await writeText(join(folder, files[part]), json(state[part]));
    const manifest: Manifest = { files: {} };
    for (const file of await list(folder)) manifest.files[file] = await digestFile(join(folder, file));
    await writeText(join(folder, manifestName), json(manifest));
  });
  return path;
}

/** Deletes the oldest checkpoints beyond the limit, never the one of `best` or the newest. */
export async function rotateCheckpoints(runDir: string, limit: number | null, best: number | null): Promise<void> {
  if (limit === null) return;
  const steps = (await listCheckpoints(runDir)).filter((step) => step !== best);
  for (const step of steps.slice(0, Math.max(0, steps.length - limit)))
    await removeFolder(join(runDir, checkpointName(step)));
}

/** Reads a checkpoint after checking every file against the manifest. */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  const manifest = await readJson<Manifest>(path, manifestName);
  for (const [file, expected] of Object.entries(manifest.files ?? {})) {
    // A name out of the manifest must not lead out of the folder.
    if (basename(file) !== file) throw damaged(path, `a plain file name in ${manifestName}`, JSON.stringify(file));
    const actual = await digestFile(join(path, file)).catch((cause: Error) => {
      throw damaged(path, `the file ${file}`, cause.message);
    });
    if (actual.size !== expected.size) throw damaged(path, `${expected.size} bytes in ${file}`, String(actual.size));
    if (actual.sha256 !== expected.sha256) throw damaged(path, `SHA-256 ${expected.sha256} for ${file}`, actual.sha256);
  }
  for (const file of [files.trainer, files.data]) {
    if (manifest.files?.[file] === undefined) throw damaged(path, `${file} in ${manifestName}`, "nothing");
  }
  const trainer = await readJson<TrainerState>(path, files.trainer);
  const data = await readJson<DataState>(path, files.data);
  const recipe = manifest.files[files.recipe] === undefined ? undefined : await readJson<unknown>(path, files.recipe);
  return { path, trainer, data, recipe };
}

/**
 * The newest whole checkpoint of a run folder, once what a killed run left there has been looked after.
 *
 * @param warn is told about each newer one that is damaged
 */
export async function newestCheckpoint(runDir: string, warn: (message: string) => void): Promise<Checkpoint> {
  await removeLeftovers(runDir);
  for (const step of (await listCheckpoints(runDir)).reverse()) {
    try {
      return await readCheckpoint(join(runDir, checkpointName(step)));
    } catch (error) {
      if (!CheckpointError.isInstance(error) || error.code !== "CHECKPOINT_INVALID") throw error;
      warn(`${error.message}; an older checkpoint is used`);
    }
  }
  throw new CheckpointError(
    `[${runDir}] expected a checkpoint to continue from, got none that is whole; start the run again with another outputDir`,
  );
}

async function readJson<T>(path: string, file: string): Promise<T> {
  try {
    return JSON.parse(await readFile(join(path, file), "utf8")) as T;
  } catch (cause) {
    throw damaged(path, `a readable ${file}`, (cause as Error).message, cause);
  }
}

function damaged(path: string, expected: string, got: string, cause?: unknown): CheckpointError {
  const hint = "this checkpoint is damaged: resume from an older one";
  return new CheckpointError(`[${path}] expected ${expected}, got ${got}`, { cause, hint });
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
