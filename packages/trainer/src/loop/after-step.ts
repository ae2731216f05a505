// What follows a step: log line, evaluation, samples, checkpoint.
import { repeatedShare } from "../health/answers.ts";
import { addEvaluation, addSamples } from "../health/state.ts";
import { answersOnEval } from "../options/sampling.ts";
import type { ActiveRun } from "./active-run.ts";
import type { StepPlace } from "./batch-sampler.ts";
import { observe } from "./early-stopping.ts";
import type { SampleEvent } from "./events.ts";
import { watchHealth } from "./health-watch.ts";
import { lineOf, type Metrics, ratio, type Values, valuesOf } from "./metrics.ts";
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
  if (step > 0) {
    const trainLoss = ratio(state.since_eval.lossSum, state.since_eval.weightSum);
    addEvaluation(state.health, { step, evalLoss: metrics.evalLoss, trainLoss });
    state.since_eval = { lossSum: 0, weightSum: 0 };
  }
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
  await watchHealth(run, { event: "eval" });
  return isBest;
}

function shouldEvaluate({ args, prepared, state }: ActiveRun, { step, epochDone, endsEpoch }: StepPlace): boolean {
  if (prepared.evaluation === null) return false;
  if (step === 0) return args.evalOnStart;
  if (args.evalStrategy === "no" || args.evalDelay > (args.evalStrategy === "epoch" ? epochDone : step)) return false;
  return step === state.max_steps || (args.evalStrategy === "epoch" ? endsEpoch : step % args.evalSteps === 0);
}

function shouldSample(run: ActiveRun, place: StepPlace): boolean {
  const { args, prompts, state } = run;
  const { step } = place;
  if (prompts.length === 0) return false;
  if (step === 0) return answersOnEval(args);
  const isRound = args.sampleEverySteps !== null && step % args.sampleEverySteps === 0;
  return isRound || step === state.max_steps || (answersOnEval(args) && shouldEvaluate(run, place));
}

async function sample(run: ActiveRun, place: StepPlace): Promise<void> {
  const { args, control, events, folder, inputs, prompts, session, state } = run;
  const { step } = place;
  if (!shouldSample(run, place)) {
    state.pending = null;
    return;
  }
  const { info, tokenizer } = inputs.model;
  const cut = new Set<number>();
  const completions = await complete(session, prompts, {
    maxNewTokens: args.sampleMaxNewTokens,
    stopTokenIds: info.eosTokenIds,
    signal: control.signal,
    onAnswer: (index, _, finishReason) => finishReason === "length" && cut.add(index),
  });
  const samples = prompts.map(({ prompt, reference }, n) => {
    const finishReason: SampleEvent["finishReason"] = cut.has(n) ? "length" : "stop";
    return { step, prompt, completion: tokenizer.decode(completions[n] ?? new Int32Array()), reference, finishReason };
  });
  for (const entry of samples) folder.samples.add(entry);
  const answers = samples.map(({ prompt, completion, reference, finishReason }, n) => {
    const ids = completions[n] ?? [];
    const [isCut, repeated] = [finishReason === "length", repeatedShare(ids)];
    return { prompt, completion, reference, tokens: ids.length, isCut, repeated };
  });
  addSamples(state.health, { step, answers });
  state.pending = null;
  await writeLines(run);
  for (const entry of samples) await events.emit({ type: "sample", ...entry });
  await watchHealth(run, { event: "sample" });
}

/** What is not written now stays in memory until it is. */
async function writeLines(run: ActiveRun): Promise<void> {
  for (const file of run.folder.growing) await attempt(run, `lines of ${file.path}`, () => file.flush());
}
