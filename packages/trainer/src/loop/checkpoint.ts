// Checkpoints: their folders and files, and how they are written, whole or not at all.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { digestFile, list, replaceFolder, writeText } from "@tunesmith/core";
import type { CallbackStates } from "./hooks/callback-states.ts";
import type { DataState, TrainerState } from "./state.ts";

/** Its list of files. */
export const manifestName = "MANIFEST.json";

/** Files of a checkpoint next to weights and optimizer state; the last two only where recipe or callbacks have state of their own. */
export const files = {
  trainer: "trainer_state.json",
  data: "data_state.json",
  recipe: "recipe_state.json",
  callbacks: "callbacks_state.json",
} as const;

/** The optimizer's state, as the engine writes it. */
export const optimizerFile = "optimizer.safetensors";

/** What a whole checkpoint must list: for each part the names that it may have, weights and optimizer state as the engine writes them. */
export const requiredFiles: readonly (readonly string[])[] = [
  [files.trainer],
  [files.data],
  ["adapter_model.safetensors", "model.safetensors"],
  [optimizerFile],
];

/** Sizes and digests of a checkpoint's files. */
export interface Manifest {
  files: Record<string, { size: number; sha256: string }>;
  /** Whether it was written without the optimizer's state (saveOnlyModel). Default false. */
  modelOnly?: boolean | undefined;
}

/** What a checkpoint holds next to weights and optimizer state. */
export interface CheckpointState {
  trainer: TrainerState;
  data: DataState;
  /** State of the recipe, a JSON value; undefined where it has none. */
  recipe: unknown;
  /** State of callbacks by their names; undefined where none has any. */
  callbacks: CallbackStates | undefined;
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
 * @param modelOnly leaves the optimizer's state out: no run can go on from it
 */
export async function writeCheckpoint(
  runDir: string,
  state: CheckpointState,
  writeWeights: (dir: string) => Promise<void>,
  modelOnly = false,
): Promise<string> {
  const path = join(runDir, checkpointName(state.trainer.global_step));
  await replaceFolder(path, async (folder) => {
    await writeWeights(folder);
    for (const part of ["trainer", "data", "recipe", "callbacks"] as const)
      if (state[part] !== undefined) await writeText(join(folder, files[part]), json(state[part]));
    if (modelOnly) await rm(join(folder, optimizerFile), { force: true });
    const manifest: Manifest = { files: {}, ...(modelOnly && { modelOnly }) };
    for (const file of await list(folder)) manifest.files[file] = await digestFile(join(folder, file));
    await writeText(join(folder, manifestName), json(manifest));
  });
  return path;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
