// An evaluation during training: the recipe's metrics and the program's own on each set, and what follows from them.

import { addEvaluation } from "../health/state.ts";
import type { ActiveRun } from "./active-run.ts";
import type { StepPlace } from "./batch-sampler.ts";
import { observe } from "./early-stopping.ts";
import { watchHealth } from "./health-watch.ts";
import { evaluateOwn } from "./hooks/own-metrics.ts";
import { lineOf, type Metrics, ratio, type Values } from "./metrics.ts";
import { watchEvaluation } from "./rates.ts";
import { evalName } from "./settle.ts";
import { writeLines } from "./writing.ts";

/** The metrics of one set; its name is null where there is one. */
interface Evaluation {
  set: string | null;
  metrics: Metrics["eval"];
}

/** Tells of the evaluation that is due after a step: once, also where it is interrupted and begins again. */
export async function beginEvaluation(run: ActiveRun, place: StepPlace): Promise<void> {
  const { events, state } = run;
  const isDue = shouldEvaluate(run, place);
  state.pending = isDue ? "evaluate" : "sample";
  if (isDue) await events.emit({ type: "evalBegin", step: place.step, epoch: state.epoch });
}

/** Evaluates. True when the evaluation is the best of the run. */
export async function evaluate(run: ActiveRun, place: StepPlace): Promise<boolean> {
  const { events, folder, state } = run;
  // A checkpoint of an earlier version says so of a step that may have none.
  if (!shouldEvaluate(run, place)) {
    state.pending = "sample";
    return false;
  }
  const { step } = place;
  const { epoch } = state;
  const evaluations = await measure(run);
  for (const { set, metrics } of evaluations) {
    const line = Object.entries(lineOf({ ...metrics })).map(([name, value]) => [evalName(name, set), value]);
    folder.addMetrics({ step, epoch, ...Object.fromEntries(line) });
  }
  const { metrics } = evaluations.find(({ set }) => set === run.best.set) as Evaluation;
  const isBest = takeIn(run, step, metrics);
  state.pending = "sample";
  state.asked.evaluate = false;
  await writeLines(run);
  for (const { set, metrics: found } of evaluations) {
    const dataset = set === null ? {} : { dataset: set };
    await events.emit({ type: "eval", step, epoch, ...found, best: isBest && set === run.best.set, ...dataset });
  }
  await watchHealth(run, { event: "eval" });
  return isBest;
}

function shouldEvaluate(run: ActiveRun, place: StepPlace): boolean {
  return (run.state.asked.evaluate && run.prepared.evaluation !== null) || isEvaluationStep(run, place);
}

/** Whether the options ask for an evaluation after a step. */
export function isEvaluationStep(
  { args, prepared, state }: ActiveRun,
  { step, epochDone, endsEpoch }: StepPlace,
): boolean {
  if (prepared.evaluation === null) return false;
  if (step === 0) return args.evalOnStart;
  if (args.evalStrategy === "no" || args.evalDelay > (args.evalStrategy === "epoch" ? epochDone : step)) return false;
  return step === state.max_steps || (args.evalStrategy === "epoch" ? endsEpoch : step % args.evalSteps === 0);
}

async function measure(run: ActiveRun): Promise<Evaluation[]> {
  const { control, prepared, session } = run;
  const names = Object.keys(prepared.evalSets ?? {});
  const evaluations: Evaluation[] = [];
  for (const set of names.length > 0 ? names : [null]) {
    const metrics = await prepared.evaluate({ session, signal: control.signal, set });
    evaluations.push({ set, metrics: { ...metrics, ...(await evaluateOwn(run, set)) } });
  }
  return evaluations;
}

/** What an evaluation changes of the state. True when it is the best of the run. */
function takeIn(run: ActiveRun, step: number, metrics: Metrics["eval"]): boolean {
  const { args, best, prepared, state } = run;
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
  return isBest;
}
