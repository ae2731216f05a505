// What follows a step: log line, evaluation, samples, checkpoint.
import type { ActiveRun } from "./active-run.ts";
import type { StepPlace } from "./batch-sampler.ts";
import { observe } from "./early-stopping.ts";
import { lineOf, type Metrics, type Values, valuesOf } from "./metrics.ts";
import { watchOverfitting } from "./overfitting.ts";
import { watchEvaluation } from "./rates.ts";
import { complete } from "./samples.ts";
import { saveIfDue } from "./saving.ts";
import { evalName } from "./settle.ts";
import { attempt } from "./writing.ts";

/** Does what is due after a step. The state's `pending` says where to go on after a stop in between. */
export async function afterStep(run: ActiveRun, batches: StepPlace): Promise<void> {
  const { state } = run;
  let isBest = false;
  if (state.pending === "log") await log(run, batches);
  if (state.pending === "evaluate") isBest = await evaluate(run, batches);
  if (state.pending === "sample") await sample(run, batches);
  await saveIfDue(run, batches, isBest);
}

async function log(run: ActiveRun, place: StepPlace): Promise<void> {
  const { step } = place;
  const { events, folder, recipe, state } = run;
  const due = shouldLog(run, place);
  const values = valuesOf(state.log, recipe.metrics.log);
  const { epoch, num_tokens: numTokens } = state;
  if (due) {
    const { loss, ...others } = values;
    folder.addMetrics({ step, epoch, ...lineOf({ loss, ...state.last, numTokens, ...others }) });
    state.log = {};
  }
  state.pending = "evaluate";
  await writeLines(run);
  if (due) await events.emit({ type: "log", step, epoch, ...values, ...state.last, numTokens });
}

function shouldLog({ args, state }: ActiveRun, { step, endsEpoch }: StepPlace): boolean {
  if (args.loggingFirstStep && step === 1) return true;
  if (args.loggingStrategy === "no") return false;
  const regular = args.loggingStrategy === "epoch" ? endsEpoch : step % args.loggingSteps === 0;
  return regular || step === state.max_steps;
}

/** True when the evaluation is the best of the run. */
async function evaluate(run: ActiveRun, batches: StepPlace): Promise<boolean> {
  const { args, best, control, events, folder, prepared, session, state } = run;
  if (!shouldEvaluate(run, batches)) {
    state.pending = "sample";
    return false;
  }
  const evaluations: { set: string | null; metrics: Metrics["eval"] }[] = [];
  for (const set of Object.keys(prepared.evalSets ?? {}).length > 0 ? Object.keys(prepared.evalSets ?? {}) : [null])
    evaluations.push({ set, metrics: await prepared.evaluate({ session, signal: control.signal, set }) });
  const { step } = batches;
  const { epoch } = state;
  for (const { set, metrics } of evaluations) {
    const line = Object.entries(lineOf({ ...metrics })).map(([name, value]) => [evalName(name, set), value]);
    folder.addMetrics({ step, epoch, ...Object.fromEntries(line) });
  }
  const { metrics } = evaluations.find(({ set }) => set === best.set) as (typeof evaluations)[number];
  const value = ({ ...metrics } as Values)[best.name] ?? Number.NaN;
  const { greaterIsBetter } = best;
  // The untouched model is what training is compared with; it is no candidate for the best.
  const isBest =
    step > 0 && observe(state.best, value, step, { greaterIsBetter, threshold: args.earlyStoppingThreshold });
  if (step > 0) watchEvaluation(run, value);
  const warning = step > 0 ? watchOverfitting(state, metrics.evalLoss) : null;
  state.best.metric = args.metricForBestModel;
  state.best.evaluation = prepared.evaluation?.fingerprint ?? null;
  if (step === 0) state.eval_before = metrics;
  state.eval_last = metrics;
  if (isBest) state.eval_best = metrics;
  // A run that was stopped within the evaluation has the checkpoint already.
  if (isBest && run.savedStep === step) state.best.keptStep = step;
  state.pending = "sample";
  await writeLines(run);
  for (const { set, metrics: found } of evaluations) {
    const dataset = set === null ? {} : { dataset: set };
    await events.emit({ type: "eval", step, epoch, ...found, best: isBest && set === best.set, ...dataset });
  }
  if (warning !== null) await events.warn(step, warning);
  return isBest;
}

function shouldEvaluate({ args, prepared, state }: ActiveRun, { step, epochDone, endsEpoch }: StepPlace): boolean {
  if (prepared.evaluation === null) return false;
  if (step === 0) return args.evalOnStart;
  if (args.evalStrategy === "no" || args.evalDelay > (args.evalStrategy === "epoch" ? epochDone : step)) return false;
  return step === state.max_steps || (args.evalStrategy === "epoch" ? endsEpoch : step % args.evalSteps === 0);
}

async function sample(run: ActiveRun, { step }: StepPlace): Promise<void> {
  const { args, control, events, folder, inputs, prompts, session, state } = run;
  const every = args.sampleEverySteps;
  const due = every !== null && prompts.length > 0 && step > 0 && (step % every === 0 || step === state.max_steps);
  if (!due) {
    state.pending = null;
    return;
  }
  const { info, tokenizer } = inputs.model;
  const completions = await complete(session, prompts, {
    maxNewTokens: args.sampleMaxNewTokens,
    stopTokenIds: info.eosTokenIds,
    signal: control.signal,
  });
  const samples = prompts.map(({ prompt, reference }, n) => {
    return { step, prompt, completion: tokenizer.decode(completions[n] ?? new Int32Array()), reference };
  });
  for (const entry of samples) folder.samples.add(entry);
  state.pending = null;
  await writeLines(run);
  for (const entry of samples) await events.emit({ type: "sample", ...entry });
}

/** What is not written now stays in memory until it is. */
async function writeLines(run: ActiveRun): Promise<void> {
  for (const file of run.folder.growing) await attempt(run, `lines of ${file.path}`, () => file.flush());
}
