// Steps whose loss or gradient is not finite: the word about one, the end after several, and which checkpoint is good.
import { join } from "node:path";
import { CheckpointError, NonFiniteError, plural } from "@tunesmith/core";
import type { ActiveRun } from "./active-run.ts";
import type { StepBatches } from "./batch-sampler.ts";
import { checkpointName, listCheckpoints } from "./checkpoint.ts";
import { readCheckpoint } from "./read-checkpoint.ts";
import type { StepOutcome } from "./recipe.ts";

/** Updates in a row that may be not finite before the run gives up. */
const limit = 3;

/** Tells of a step that was skipped. Several in a row are a `NonFiniteError` that names rows and tensors and the last good checkpoint. */
export async function skipped(
  run: ActiveRun,
  batches: StepBatches,
  outcome: StepOutcome,
  values: string,
): Promise<void> {
  const { events, folder, state } = run;
  const step = state.global_step;
  const what = `step ${step}: ${values}; rows: ${rowsOf(run, outcome)}`;
  await events.warn(step, `${what}; not finite, so the step was skipped and no weight has changed`);
  if (state.non_finite < limit) return;
  const where = await tensorsOf(run, batches);
  const good = await lastGood(folder.path, step - limit);
  throw new NonFiniteError(
    `[train] expected finite gradients, got ${limit} updates in a row that are not (${what}${where}); ${good}; lower learningRate or look at the rows`,
  );
}

function rowsOf({ prepared }: ActiveRun, { badRows, microBatches }: StepOutcome): string {
  const rows = badRows.length > 0 ? badRows : microBatches.flatMap(({ rowIds }) => rowIds);
  const named = rows.slice(0, 8).map((row) => prepared.locate(row));
  return named.join(", ") + (rows.length > 8 ? ", …" : "");
}

/** The tensors whose gradient is not finite, by the step once more: the update has thrown its gradient away. */
async function tensorsOf({ prepared, session }: ActiveRun, batches: StepBatches): Promise<string> {
  await prepared.step({ session, batches });
  const names = await session.discardGradient();
  // Backward comes from the output: the last of them is where it begins.
  const last = names.at(-1);
  if (last === undefined) return "";
  return names.length === 1
    ? `; in the gradient of ${last}`
    : `; in the gradients of ${plural(names.length, "tensor")}, from ${last} down to ${names[0]}`;
}

/**
 * Names the newest checkpoint that is whole and whose weights have given a finite step: those of the last finite step may be what made the
 * next one fail.
 *
 * @param finite the last step that was finite
 */
export async function lastGood(runDir: string, finite: number): Promise<string> {
  for (const step of (await listCheckpoints(runDir)).filter((one) => one < finite).reverse()) {
    const path = join(runDir, checkpointName(step));
    try {
      await readCheckpoint(path);
      return `the last good checkpoint is ${path}`;
    } catch (error) {
      if (!CheckpointError.isInstance(error) || error.code !== "CHECKPOINT_INVALID") throw error;
    }
  }
  return "there is no good checkpoint yet";
}
