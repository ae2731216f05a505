// Opens the folder of a run and loads its weights: from here on something is written.
import { CheckpointError, OptionError, plural, type TrainSession, TunesmithError } from "@tunesmith/core";
import { idleGroups } from "../options/parameter-groups.ts";
import { asOptionError, sessionOptions } from "../options/session-options.ts";
import { carryBest } from "./best-checkpoint.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { idleRates } from "./doubtful-rates.ts";
import { decisiveOptions } from "./drift.ts";
import { describeEnvironment, otherArithmetic } from "./environment.ts";
import { loadStates } from "./hooks/callback-states.ts";
import { begun, isOver, type Phase, phaseAfter, scheduleStart } from "./phases.ts";
import { newestCheckpoint } from "./read-checkpoint.ts";
import type { ReadyRun } from "./ready-run.ts";
import type { RunClaim } from "./run-claim.ts";
import { describeConfig } from "./run-config.ts";
import { RunFolder } from "./run-folder.ts";
import { scheduleOf } from "./schedule.ts";
import { emptyState, type TrainerState } from "./state.ts";

/** A run whose folder and session are open. */
export interface OpenRun extends ReadyRun {
  claim: RunClaim;
  folder: RunFolder;
  session: TrainSession;
  state: TrainerState;
  /** The phase that begins now, after all that the run was to do; null where none does. */
  phase: Phase | null;
  /** Digest of the model that it began with; null where that is no file and no folder. */
  modelSha256: string | null;
}

/**
 * Loads the weights, those of the checkpoint where there is one, and opens the folder's files.
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
  const { recipe, inputs, prepared, args } = ready;
  const { model, peft, fromProgram = [] } = inputs;
  const { trainer, schema } = recipe;
  const { modelType } = model.info;
  const identity = { trainer, fromProgram, modelType, sha256: modelSha256, weights: model.weightOptions };
  const config = decisiveOptions(args, peft, identity, schema);
  const { totalSteps } = prepared.batches;
  const decisive = { options: config, fingerprint: prepared.train.fingerprint, schema };
  const length = { args, totalSteps, now: Math.floor(Date.now() / 1000) };
  const check = (found: Checkpoint) => phaseAfter(found, length, decisive);
  if (ready.checkpoint !== null) check(ready.checkpoint);
  signal.throwIfAborted();
  const { device } = ready.memoryPlan;
  const before = { modelSha256, device, isResumed: ready.checkpoint !== null, signal };
  const found = (await prepared.beforeSession?.(before)) ?? [];
  signal.throwIfAborted();
  const session = await model.createSession(sessionOptions(args, peft)).catch(asOptionError);
  try {
    if (args.useCpu && session.info.backend !== "cpu")
      throw new OptionError(
        `[useCpu] expected a model on the CPU, got one on ${session.info.backend}; open it with device: "cpu"`,
      );
    const { checkpoint, warnings } = await restored(ready, session, check);
    if (checkpoint !== null) warnings.push(...(await remember(checkpoint, ready)));
    const phase = checkpoint === null ? null : check(checkpoint);
    const before = checkpoint === null ? emptyState(totalSteps, config, ready.startedAt) : checkpoint.trainer;
    const now = { max_steps: totalSteps, config, started_at: ready.startedAt };
    const state = { ...(phase === null ? before : begun(before, phase)), ...now };
    const schedule = scheduleOf(args, totalSteps, scheduleStart(state));
    if (checkpoint !== null) {
      if (isOver(state, args))
        warnings.push(
          `${claim.path}: this run is finished; all its ${plural(state.global_step, "step")} were trained before, so nothing is trained and its result is written again; give it more maxSteps or numTrainEpochs to go on`,
        );
      warnings.push(...(await carryBest(ready, checkpoint, state)));
      warnings.push(...(await otherArithmetic(claim.path, session.info)));
    }
    signal.throwIfAborted();
    const folder = await openFolder(ready, claim.path, session, state, modelSha256);
    const said = [
      ...ready.warnings,
      ...found,
      ...warnings,
      ...idleRates(args, session.info),
      ...idleGroups(args, session.info),
      ...session.info.warnings,
    ];
    return { ...ready, schedule, checkpoint, claim, folder, session, state, phase, modelSha256, warnings: said };
  } catch (error) {
    session.dispose();
    throw error;
  }
}

/** Opens the files, cut to where the state has them, and says in them what is run and where. */
async function openFolder(
  { recipe, inputs, args, prepared }: ReadyRun,
  path: string,
  session: TrainSession,
  state: TrainerState,
  modelSha256: string | null,
): Promise<RunFolder> {
  const kept = { metrics: state.metrics_bytes, samples: state.samples_bytes };
  const isReported = [args.reportTo].flat().includes("tensorboard");
  const folder = await RunFolder.open(
    path,
    kept,
    isReported ? state.global_step + (state.global_step > 0 ? 1 : 0) : null,
  );
  try {
    await folder.writeConfig(describeConfig(recipe.trainer, inputs, args));
    const fingerprints = { train: prepared.train.fingerprint, eval: prepared.evaluation?.fingerprint ?? null };
    const environment = await describeEnvironment(inputs.model, modelSha256, session.info, fingerprints);
    await folder.writeJson("env.json", environment);
    return folder;
  } catch (error) {
    await folder.close();
    throw error;
  }
}

/**
 * Weights and optimizer of the checkpoint. Where they cannot be loaded though the files are as they were
 * written, the checkpoint before is taken, unless one was named.
 */
async function restored(
  { args, checkpoint: newest, resume }: ReadyRun,
  session: TrainSession,
  check: (found: Checkpoint) => unknown,
): Promise<{ checkpoint: Checkpoint | null; warnings: string[] }> {
  const warnings: string[] = [];
  for (let checkpoint = newest; checkpoint !== null; ) {
    try {
      await session.loadCheckpoint(checkpoint.path);
      return { checkpoint, warnings };
    } catch (error) {
      if (resume !== true || !isDamage(error)) throw error;
      const { global_step: step } = checkpoint.trainer;
      const older = await newestCheckpoint(args.outputDir, (message) => warnings.push(message), step);
      if (older === null) throw error;
      warnings.push(`[${checkpoint.path}] could not be loaded: ${error.message}; an older checkpoint is used`);
      check(older);
      checkpoint = older;
    }
  }
  return { checkpoint: null, warnings };
}

/** Gives recipe and callbacks what they were to remember, and what the user should know of that. */
async function remember(
  { path, recipe, callbacks: states, trainer }: Checkpoint,
  { args, inputs: { callbacks = [] }, prepared: { state } }: ReadyRun,
): Promise<string[]> {
  if (state !== undefined) {
    if (recipe === undefined)
      throw new CheckpointError(
        `[${path}] expected the state of this trainer, got none; it was written by another one, so start a new run`,
      );
    await state.load(recipe);
  }
  const rate = trainer.learning_rate_override?.learningRate ?? null;
  const orphaned =
    rate !== null && callbacks.length === 0
      ? [`the learning rate stays at ${rate}, as a callback had set it; no callback is given now that could change it`]
      : [];
  const onHeld = () => {};
  return [...orphaned, ...(await loadStates(callbacks, { path, states }, { timeout: args.hookTimeout, onHeld }))];
}

function isDamage(error: unknown): error is TunesmithError {
  return (
    TunesmithError.isInstance(error) && ["CHECKPOINT_INVALID", "FILE_INVALID", "FILE_MISSING"].includes(error.code)
  );
}
