// What follows a step: the end of its epoch, log line, evaluation, samples, checkpoint.
import { repeatedShare } from "../health/answers.ts";
import { addSamples } from "../health/state.ts";
import { answersOnEval, answersPrompts } from "../options/sampling.ts";
import type { ActiveRun } from "./active-run.ts";
import type { StepPlace } from "./batch-sampler.ts";
import { beginEvaluation, evaluate, isEvaluationStep } from "./evaluation.ts";
import type { SampleEvent } from "./events.ts";
import { watchHealth } from "./health-watch.ts";
import { lineOf, valuesOf } from "./metrics.ts";
import { complete } from "./samples.ts";
import { saveIfDue } from "./saving.ts";
import { writeLines } from "./writing.ts";

/** Does what is due after a step. The state's `pending` says where to go on after a stop in between. */
export async function afterStep(run: ActiveRun, batches: StepPlace): Promise<void> {
  const { state } = run;
  let isBest = false;
  if (state.pending === "epochEnd") await endEpoch(run, batches);
  if (state.pending === "log") await log(run, batches);
  if (state.pending === "evalBegin") await beginEvaluation(run, batches);
  if (state.pending === "evaluate") isBest = await evaluate(run, batches);
  if (state.pending === "sample") await sample(run, batches);
  await saveIfDue(run, batches, isBest);
}

async function endEpoch({ events, state }: ActiveRun, { step }: StepPlace): Promise<void> {
  state.pending = "log";
  await events.emit({ type: "epochEnd", step, epoch: state.epoch });
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
  state.pending = "evalBegin";
  await writeLines(run);
  if (due) await events.emit({ type: "log", step, epoch, ...values, ...state.last, numTokens });
}

function shouldLog({ args, state }: ActiveRun, { step, endsEpoch }: StepPlace): boolean {
  if (args.loggingFirstStep && step === 1) return true;
  if (args.loggingStrategy === "no") return false;
  const regular = args.loggingStrategy === "epoch" ? endsEpoch : step % args.loggingSteps === 0;
  return regular || step === state.max_steps;
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
  state.asked.sample = false;
  await writeLines(run);
  for (const entry of samples) await events.emit({ type: "sample", ...entry });
  await watchHealth(run, { event: "sample" });
}

function shouldSample(run: ActiveRun, place: StepPlace): boolean {
  const { args, prompts, state } = run;
  const { step } = place;
  if (prompts.length === 0) return false;
  if (state.asked.sample) return true;
  if (!answersPrompts(args)) return false;
  if (step === 0) return answersOnEval(args);
  const isRound = args.sampleEverySteps !== null && step % args.sampleEverySteps === 0;
  return isRound || step === state.max_steps || (answersOnEval(args) && isEvaluationStep(run, place));
}
