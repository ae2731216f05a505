// One optimizer step: the recipe's gradient, the update, and what is counted of it.
import { createHash } from "node:crypto";
import { addStep } from "../health/state.ts";
import type { ActiveRun } from "./active-run.ts";
import type { StepBatches } from "./batch-sampler.ts";
import { watchHealth } from "./health-watch.ts";
import { collect, ratio, type SumsByName, total, valuesOf } from "./metrics.ts";
import { skipped } from "./non-finite.ts";
import { ratesOf } from "./rates.ts";
import type { StepOutcome } from "./recipe.ts";
import { withStep } from "./time-estimate.ts";

/**
 * Takes one step. One whose loss or gradient is not finite changes no weight; several in a row are a `NonFiniteError`.
 *
 * @param waitSeconds until its rows were there
 */
export async function takeStep(run: ActiveRun, batches: StepBatches, waitSeconds: number): Promise<void> {
  const { clock, events, prepared, session, state } = run;
  const begun = performance.now();
  const { learningRate, groups: learningRates } = await ratesOf(run, batches.step);
  const outcome = await prepared.step({ session, batches });
  const { applied, gradNorm } = await session.update({
    learningRates,
    maxGradNorm: run.args.maxGradNorm,
    denominator: outcome.denominator,
  });
  const { microBatches } = outcome;
  const lossSum = total(microBatches, ({ metrics }) => metrics.loss.sum);
  const weightSum = total(microBatches, ({ metrics }) => metrics.loss.weight);
  const loss = ratio(lossSum, weightSum);
  const finite = applied && Number.isFinite(loss);
  const tokens = total(microBatches, (entry) => entry.tokens);
  state.last = { learningRate, gradNorm };
  state.global_step = batches.step;
  state.epoch = batches.epochDone;
  state.pending = batches.endsEpoch ? "epochEnd" : "log";
  state.num_tokens += tokens;
  state.num_rows += total(microBatches, ({ rowIds }) => rowIds.length);
  state.loss_hash = chain(state.loss_hash, loss);
  const seconds = (performance.now() - begun) / 1000;
  state.step_seconds += seconds;
  const place = { step: batches.step, totalSteps: state.max_steps };
  state.time_estimate = withStep(state.time_estimate, place, clock.seconds());
  if (finite) count(run, outcome, { loss, lossSum, weightSum });
  else state.non_finite += 1;
  const { global_step: step, max_steps: totalSteps, epoch } = state;
  const known = (value: number) => (Number.isFinite(value) ? value : Number.NaN);
  const norms = { loss: known(loss), learningRate, gradNorm: known(gradNorm) };
  addStep(state.health, { step, ...norms, seconds, waitSeconds, metrics: metricsOf(run, outcome) });
  for (const event of outcome.events ?? []) await events.emit(event);
  const memory = session.memory();
  await events.emit({ type: "step", step, totalSteps, epoch, loss, learningRate, gradNorm, tokens, seconds, memory });
  for (const message of outcome.notes ?? []) await events.emit({ type: "note", step, message, options: [] });
  for (const message of outcome.warnings ?? []) await events.warn(step, message);
  if (!finite) await skipped(run, batches, outcome, `loss ${loss}, gradient norm ${gradNorm}`);
  const { rows, untrainedTokens } = outcome;
  await watchHealth(run, { event: "step", ...(rows && { rows }), ...(untrainedTokens && { untrainedTokens }) });
}

/** What the recipe logs of one step besides the loss; NaN where it is not finite. */
function metricsOf({ recipe }: ActiveRun, { microBatches }: StepOutcome): Record<string, number> {
  const sums: SumsByName = {};
  for (const { metrics } of microBatches) collect(sums, recipe.metrics.log, metrics);
  const { loss: _, ...others } = valuesOf(sums, recipe.metrics.log);
  return Object.fromEntries(
    Object.entries(others).map(([name, value]) => [name, Number.isFinite(value) ? value : Number.NaN]),
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

/** SHA-256 of the hash so far and one more number. */
function chain(hash: string, value: number): string {
  return createHash("sha256")
    .update(hash, "hex")
    .update(Buffer.from(Float64Array.of(value).buffer))
    .digest("hex");
}
