// One optimizer step: the recipe's gradient, the update, and what is counted of it.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { NonFiniteError } from "@tunesmith/core";
import type { ActiveRun } from "./active-run.ts";
import type { StepBatches } from "./batch-sampler.ts";
import { checkpointName, listCheckpoints } from "./checkpoint.ts";
import { collect, ratio, total } from "./metrics.ts";
import type { StepOutcome } from "./recipe.ts";
import { learningRateAt } from "./schedule.ts";

/** Updates in a row that may be not finite before the run gives up. */
const nonFiniteLimit = 3;

/** Takes one step. One whose loss or gradient is not finite changes no weight; several in a row are a `NonFiniteError`. */
export async function takeStep(run: ActiveRun, batches: StepBatches): Promise<void> {
  const { events, prepared, session, state } = run;
  const begun = performance.now();
  const outcome = await prepared.step({ session, batches });
  const { applied, gradNorm } = await session.update({
    learningRates: learningRates(run, batches.step),
    maxGradNorm: run.args.maxGradNorm,
    denominator: outcome.denominator,
  });
  const { microBatches } = outcome;
  const lossSum = total(microBatches, ({ metrics }) => metrics.loss.sum);
  const weightSum = total(microBatches, ({ metrics }) => metrics.loss.weight);
  const loss = ratio(lossSum, weightSum);
  const finite = applied && Number.isFinite(loss);
  const learningRate = learningRateAt(batches.step, run.schedule);
  const tokens = total(microBatches, (entry) => entry.tokens);
  run.last = { learningRate, gradNorm };
  state.global_step = batches.step;
  state.epoch = batches.epochDone;
  state.pending = "log";
  state.num_tokens += tokens;
  state.num_rows += total(microBatches, ({ rowIds }) => rowIds.length);
  state.loss_hash = chain(state.loss_hash, loss);
  const seconds = (performance.now() - begun) / 1000;
  state.step_seconds += seconds;
  if (finite) count(run, outcome, { loss, lossSum, weightSum });
  else state.non_finite += 1;
  const { global_step: step, max_steps: totalSteps, epoch } = state;
  await events.emit({ type: "step", step, totalSteps, epoch, loss, learningRate, gradNorm, tokens, seconds });
  if (!finite) await warnNonFinite(run, outcome, `loss ${loss}, gradient norm ${gradNorm}`);
}

/** One per parameter group, in the session's order: each follows the schedule to its own peak. */
function learningRates({ schedule, session }: ActiveRun, step: number): Float64Array {
  return Float64Array.from(session.info.parameterGroups, ({ rate }) =>
    learningRateAt(step, { ...schedule, learningRate: rate }),
  );
}

function count(
  { recipe, state }: ActiveRun,
  { microBatches }: StepOutcome,
  { loss, lossSum, weightSum }: { loss: number; lossSum: number; weightSum: number },
): void {
  state.non_finite = 0;
  state.loss_total += loss;
  state.loss_count += 1;
  for (const { metrics } of microBatches) collect(state.log, recipe.metrics.log, metrics);
  state.since_eval.lossSum += lossSum;
  state.since_eval.weightSum += weightSum;
}

async function warnNonFinite(
  { args, events, prepared, state }: ActiveRun,
  { badRows, microBatches }: StepOutcome,
  values: string,
): Promise<void> {
  const rows = badRows.length > 0 ? badRows : microBatches.flatMap(({ rowIds }) => rowIds);
  const named =
    rows
      .slice(0, 8)
      .map((row) => prepared.locate(row))
      .join(", ") + (rows.length > 8 ? ", …" : "");
  const step = state.global_step;
  const what = `step ${step}: ${values}; rows: ${named}`;
  await events.warn(step, `${what}; not finite, so the step was skipped and no weight has changed`);
  if (state.non_finite < nonFiniteLimit) return;
  const newest = (await listCheckpoints(args.outputDir)).at(-1);
  const good =
    newest === undefined
      ? "there is no checkpoint yet"
      : `the last good checkpoint is ${join(args.outputDir, checkpointName(newest))}`;
  throw new NonFiniteError(
    `[train] expected finite gradients, got ${nonFiniteLimit} updates in a row that are not (${what}); ${good}; lower learningRate or look at the rows`,
  );
}

/** SHA-256 of the hash so far and one more number. */
function chain(hash: string, value: number): string {
  return createHash("sha256")
    .update(hash, "hex")
    .update(Buffer.from(Float64Array.of(value).buffer))
    .digest("hex");
}
