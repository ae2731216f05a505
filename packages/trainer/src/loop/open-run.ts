// Opens the folder of a run and loads its weights: from here on something is written.
import { CheckpointError, type TrainSession } from "@tunesmith/core";
import { asOptionError, sessionOptions } from "../options/session-options.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { decisiveOptions, refuseDrift } from "./drift.ts";
import { describeEnvironment } from "./environment.ts";
import type { ReadyRun } from "./ready-run.ts";
import type { PreparedRun } from "./recipe.ts";
import type { RunClaim } from "./run-claim.ts";
import { describeConfig } from "./run-config.ts";
import { RunFolder } from "./run-folder.ts";
import { emptyState, type TrainerState } from "./state.ts";

/** A run whose folder and session are open. */
export interface OpenRun extends ReadyRun {
  claim: RunClaim;
  folder: RunFolder;
  session: TrainSession;
  state: TrainerState;
}

/**
 * Opens folder and session.
 *
 * @param claim to the folder
 * @param modelSha256 digest of the model; null where it is no file and no folder
 */
export async function openRun(
  ready: ReadyRun,
  claim: RunClaim,
  modelSha256: string | null,
  signal: AbortSignal,
): Promise<OpenRun> {
  const { recipe, inputs, prepared, args, checkpoint } = ready;
  const { model, peft } = inputs;
  const identity = { modelType: model.info.modelType, sha256: modelSha256, weights: model.weightOptions };
  const config = decisiveOptions(args, peft, identity, recipe.schema);
  const { totalSteps } = prepared.batches;
  if (checkpoint !== null) refuseDrift(checkpoint, config, prepared.train.fingerprint);
  const state =
    checkpoint === null ? emptyState(totalSteps, config) : { ...checkpoint.trainer, max_steps: totalSteps, config };
  signal.throwIfAborted();
  const folder = await RunFolder.open(claim.path, { metrics: state.metrics_bytes, samples: state.samples_bytes });
  try {
    await folder.writeConfig(describeConfig(inputs, args));
    signal.throwIfAborted();
    const session = await openSession(ready, folder, modelSha256);
    return { ...ready, claim, folder, session, state, warnings: [...ready.warnings, ...session.info.warnings] };
  } catch (error) {
    await folder.close();
    throw error;
  }
}

/** Loads the weights, those of the checkpoint where there is one, and says in `env.json` where they are. */
async function openSession(
  { inputs, prepared, args, checkpoint }: ReadyRun,
  folder: RunFolder,
  modelSha256: string | null,
): Promise<TrainSession> {
  const { model, peft } = inputs;
  const session = await model.createSession(sessionOptions(args, peft)).catch(asOptionError);
  try {
    if (checkpoint !== null) await restore(checkpoint, session, prepared);
    const fingerprints = { train: prepared.train.fingerprint, eval: prepared.evaluation?.fingerprint ?? null };
    const environment = await describeEnvironment(model.info, modelSha256, session.info, fingerprints);
    await folder.writeJson("env.json", environment);
    return session;
  } catch (error) {
    session.dispose();
    throw error;
  }
}

/** Weights and optimizer, and what the recipe remembers. */
async function restore({ path, recipe }: Checkpoint, session: TrainSession, { state }: PreparedRun): Promise<void> {
  await session.loadCheckpoint(path);
  if (state === undefined) return;
  if (recipe === undefined)
    throw new CheckpointError(
      `[${path}] expected the state of this trainer, got none; it was written by another one, so start a new run`,
    );
  state.load(recipe);
}
