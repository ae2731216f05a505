// The loop of one run, from its first step to its result.
import { createHash } from "node:crypto";
import { join } from "node:path";
import {
  AbortError,
  CallbackError,
  FileSystemError,
  isDiskFull,
  type LanguageModel,
  NonFiniteError,
  replaceFolder,
  type TrainSession,
} from "@tunesmith/core";
import type { Example } from "@tunesmith/data";
import { evaluate } from "../sft/evaluate.ts";
import type { Setup } from "../sft/setup.ts";
import { runStep, type StepOutput } from "../sft/steps.ts";
import { checkpointName, listCheckpoints, rotateCheckpoints, writeCheckpoint } from "./checkpoint.ts";
import { observe } from "./early-stopping.ts";
import type { TrainEvent } from "./events.ts";
import { addToLog, emptyLogSums, meansOf, total } from "./metrics.ts";
import { watchOverfitting } from "./overfitting.ts";
import type { StepPlan } from "./plan.ts";
import { describeRun } from "./report.ts";
import type { StopReason, TrainResult } from "./result.ts";
import type { RunControl } from "./run.ts";
import { complete } from "./samples.ts";
import { countWarmupSteps, learningRateAt, type Schedule } from "./schedule.ts";

/** What a callback may use beside the event. */
export interface CallbackContext {
  model: LanguageModel;
  /** Evaluates and generates with the weights as they are now. Not to be kept: it is disposed when the run ends. */
  session: TrainSession;
}

/** Called with every event of a run, in order; the run waits for it. What it throws ends the run with a `CallbackError`. */
export type TrainCallback = (event: TrainEvent, context: CallbackContext) => void | Promise<void>;

/** Updates in a row that may be not finite before the run gives up. */
const nonFiniteLimit = 3;

/** The loop of one run, from its first step to its result. */
export class Training {
  readonly #setup: Setup;
  readonly #model: LanguageModel;
  readonly #control: RunControl;
  #callbacks: readonly TrainCallback[];
  readonly #schedule: Schedule;
  /** When the work began: set behind the first event, whose callbacks may take their time. */
  #begun = performance.now();
  /** Seconds of the run before it was resumed. */
  readonly #secondsBefore: number;
  /** Step of the newest checkpoint written or read; null before the first. */
  #savedStep: number | null;
  /** Rate and norm of the last step. */
  #last = { learningRate: 0, gradNorm: 0 };

  constructor(setup: Setup, model: LanguageModel, control: RunControl, callbacks: readonly TrainCallback[]) {
    const { args, plan, state, resumed } = setup;
    this.#setup = setup;
    this.#model = model;
    this.#control = control;
    this.#callbacks = callbacks;
    this.#schedule = {
      type: args.lrSchedulerType,
      learningRate: args.learningRate,
      warmupSteps: countWarmupSteps(args.warmupSteps, plan.totalSteps),
      totalSteps: plan.totalSteps,
    };
    this.#secondsBefore = state.seconds;
    this.#savedStep = resumed ? state.global_step : null;
  }

  /** Trains to the end, or to where it is stopped. Always frees the session and closes the files. */
  async run(): Promise<TrainResult> {
    const { session, folder } = this.#setup;
    try {
      this.#control.setState("running");
      await this.#announce();
      await this.#steps();
      return await this.#finish();
    } catch (error) {
      throw await this.#stopped(error);
    } finally {
      session.dispose();
      await folder.close();
    }
  }

  async #announce(): Promise<void> {
    const { args, train, evaluation, plan, session, state, warnings } = this.#setup;
    await this.#emit({
      type: "prepared",
      runDir: args.outputDir,
      step: state.global_step,
      totalSteps: plan.totalSteps,
      session: session.info,
      data: train.report,
      evalData: evaluation?.report ?? null,
    });
    this.#begun = performance.now();
    for (const message of warnings) await this.#warn(message);
    await this.#behindStep(plan.at(state.global_step));
    // A stop may have come between a checkpoint and the deletion of the one it replaces.
    await this.#rotate();
  }

  async #steps(): Promise<void> {
    const { plan, state } = this.#setup;
    if (this.#stopsEarly()) return;
    for (const stepPlan of plan.steps(state.global_step)) {
      await this.#control.rest();
      this.#control.signal.throwIfAborted();
      await this.#step(stepPlan);
      await this.#behindStep(stepPlan);
      if (this.#stopsEarly()) return;
    }
  }

  async #step(plan: StepPlan): Promise<void> {
    const { args, session, state, train } = this.#setup;
    const begun = performance.now();
    const learningRate = learningRateAt(plan.step, this.#schedule);
    const microBatches = plan.microBatches.map((indices) =>
      Array.from(indices, (index) => train.examples[index] as Example),
    );
    const { maxGradNorm, tokenBudget, seed } = args;
    const embeddingLearningRate =
      args.embeddingLearningRate === null
        ? null
        : learningRateAt(plan.step, { ...this.#schedule, learningRate: args.embeddingLearningRate });
    const output = await runStep(session, {
      step: plan.step,
      microBatches,
      learningRate,
      rates: { loraplusLrRatio: args.loraplusLrRatio, embeddingLearningRate },
      maxGradNorm,
      tokenBudget,
      seed,
    });
    const { loss, gradNorm } = output;
    const tokens = total(output.microBatches, (entry) => entry.tokens);
    this.#last = { learningRate, gradNorm };
    state.global_step = plan.step;
    state.epoch = plan.epochDone;
    state.pending = "log";
    state.num_tokens += tokens;
    state.num_rows += total(output.microBatches, (entry) => entry.rows);
    state.loss_hash = chain(state.loss_hash, loss);
    const seconds = (performance.now() - begun) / 1000;
    state.step_seconds += seconds;
    if (output.finite) this.#count(output);
    else state.non_finite += 1;
    await this.#emit({
      type: "step",
      step: plan.step,
      totalSteps: state.max_steps,
      epoch: state.epoch,
      loss,
      learningRate,
      gradNorm,
      tokens,
      seconds,
    });
    if (!output.finite) await this.#warnNonFinite(plan, output);
  }

  #count({ microBatches, loss }: StepOutput): void {
    const { state } = this.#setup;
    state.non_finite = 0;
    state.loss_total += loss;
    state.loss_count += 1;
    addToLog(state.log, microBatches);
    state.since_eval.lossSum += total(microBatches, (entry) => entry.lossSum);
    state.since_eval.weightSum += total(microBatches, (entry) => entry.weightSum);
  }

  async #warnNonFinite(plan: StepPlan, { loss, gradNorm, badRows }: StepOutput): Promise<void> {
    const { args, state, train } = this.#setup;
    const all = plan.microBatches.flatMap((indices) =>
      Array.from(indices, (index) => (train.examples[index] as Example).rowId),
    );
    const rows = badRows.length > 0 ? badRows : all;
    const named = rows.slice(0, 8).map(train.locate).join(", ") + (rows.length > 8 ? ", …" : "");
    const what = `step ${plan.step}: loss ${loss}, gradient norm ${gradNorm}; rows: ${named}`;
    await this.#warn(`${what}; not finite, so the step was skipped and no weight has changed`);
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

  /** What follows a step: log, evaluation, samples, checkpoint. `pending` says where to go on after a stop in between. */
  async #behindStep(plan: StepPlan): Promise<void> {
    const { state } = this.#setup;
    let isBest = false;
    if (state.pending === "log") await this.#log(plan);
    if (state.pending === "evaluate") isBest = await this.#evaluate(plan);
    if (state.pending === "sample") await this.#sample(plan);
    if (this.#savesBehind(plan, isBest)) await this.#save();
  }

  async #log({ step }: StepPlan): Promise<void> {
    const { args, folder, state } = this.#setup;
    const due = step % args.loggingSteps === 0 || step === state.max_steps;
    const values = { ...meansOf(state.log), ...this.#last, numTokens: state.num_tokens };
    if (due) {
      const { loss, learningRate, gradNorm, numTokens, meanTokenAccuracy, entropy } = values;
      await folder.metrics.append({
        step,
        epoch: state.epoch,
        loss,
        learning_rate: learningRate,
        grad_norm: gradNorm,
        num_tokens: numTokens,
        mean_token_accuracy: meanTokenAccuracy,
        entropy,
      });
      state.log = emptyLogSums();
    }
    state.pending = "evaluate";
    if (due) await this.#emit({ type: "log", step, epoch: state.epoch, ...values });
  }

  /** True when the evaluation is the best of the run. */
  async #evaluate(plan: StepPlan): Promise<boolean> {
    const { args, evaluation, folder, session, state } = this.#setup;
    if (evaluation === null || !this.#evaluatesBehind(plan)) {
      state.pending = "sample";
      return false;
    }
    const options = {
      batchSize: args.perDeviceEvalBatchSize,
      tokenBudget: args.tokenBudget,
      signal: this.#control.signal,
    };
    const metrics = await evaluate(session, evaluation.examples, options);
    const { step } = plan;
    const { epoch } = state;
    const { evalLoss, evalMeanTokenAccuracy, evalEntropy } = metrics;
    await folder.metrics.append({
      step,
      epoch,
      eval_loss: evalLoss,
      eval_mean_token_accuracy: evalMeanTokenAccuracy,
      eval_entropy: evalEntropy,
    });
    const greaterIsBetter = args.metricForBestModel === "eval_mean_token_accuracy";
    const value = greaterIsBetter ? evalMeanTokenAccuracy : evalLoss;
    // The untouched model is what training is compared with; it is no candidate for the best.
    const best =
      step > 0 && observe(state.best, value, step, { greaterIsBetter, threshold: args.earlyStoppingThreshold });
    const warning = step > 0 ? watchOverfitting(state, evalLoss) : null;
    if (step === 0) state.eval_before = metrics;
    state.eval_last = metrics;
    if (best) state.eval_best = metrics;
    state.pending = "sample";
    await this.#emit({ type: "eval", step, epoch, ...metrics, best });
    if (warning !== null) await this.#warn(warning);
    return best;
  }

  #evaluatesBehind({ step, endsEpoch }: StepPlan): boolean {
    const { args, state } = this.#setup;
    if (step === 0) return args.evalOnStart;
    if (args.evalStrategy === "no") return false;
    return step === state.max_steps || (args.evalStrategy === "epoch" ? endsEpoch : step % args.evalSteps === 0);
  }

  async #sample({ step }: StepPlan): Promise<void> {
    const { args, folder, prompts, session, state } = this.#setup;
    const every = args.sampleEverySteps;
    const due = every !== null && prompts.length > 0 && step > 0 && (step % every === 0 || step === state.max_steps);
    if (!due) {
      state.pending = null;
      return;
    }
    const { info, tokenizer } = this.#model;
    const options = {
      maxNewTokens: args.sampleMaxNewTokens,
      stopTokenIds: info.eosTokenIds,
      signal: this.#control.signal,
    };
    const completions = await complete(session, prompts, options);
    const samples = prompts.map(({ prompt, reference }, n) => {
      return { step, prompt, completion: tokenizer.decode(completions[n] ?? new Int32Array()), reference };
    });
    for (const sample of samples) await folder.samples.append(sample);
    state.pending = null;
    for (const sample of samples) await this.#emit({ type: "sample", ...sample });
  }

  #savesBehind({ step, endsEpoch }: StepPlan, isBest: boolean): boolean {
    const { args, state } = this.#setup;
    if (step === 0 || step === this.#savedStep) return false;
    if (isBest && args.loadBestModelAtEnd) return true;
    if (args.saveStrategy === "no") return false;
    if (step === state.max_steps || this.#stopsEarly()) return true;
    if (args.saveStrategy === "end") return false;
    return args.saveStrategy === "epoch" ? endsEpoch : step % args.saveSteps === 0;
  }

  async #save(): Promise<void> {
    const { args, folder, session, state, train } = this.#setup;
    await folder.metrics.sync();
    await folder.samples.sync();
    state.metrics_bytes = folder.metrics.size;
    state.samples_bytes = folder.samples.size;
    state.seconds = this.#seconds();
    const { trainSamplingStrategy: strategy, seed, simpleMaxLength } = args;
    const step = state.global_step;
    const data = {
      fingerprint: train.fingerprint,
      examples: train.examples.length,
      sampler: { strategy, seed, simpleMaxLength },
      epoch: state.epoch,
      global_step: step,
    };
    const path = await writeCheckpoint(folder.path, state, data, (dir) => session.saveCheckpoint(dir));
    this.#savedStep = step;
    await this.#rotate();
    await this.#emit({ type: "checkpoint", step, path });
  }

  async #rotate(): Promise<void> {
    const { args, folder, state } = this.#setup;
    await rotateCheckpoints(folder.path, args.saveTotalLimit, args.loadBestModelAtEnd ? state.best.bestStep : null);
  }

  #stopsEarly(): boolean {
    const { args, state } = this.#setup;
    return args.earlyStoppingPatience !== null && state.best.withoutImprovement >= args.earlyStoppingPatience;
  }

  /** Best weights, adapter, report and result. */
  async #finish(): Promise<TrainResult> {
    const { args, folder, session, state } = this.#setup;
    if (args.loadBestModelAtEnd && state.best.bestStep !== null && state.best.bestStep !== state.global_step) {
      await session.loadCheckpoint(join(folder.path, checkpointName(state.best.bestStep)));
    }
    await replaceFolder(folder.adapterDir, (dir) => session.saveAdapter(dir));
    const byLength: StopReason = args.maxSteps > 0 ? "max_steps" : "epochs";
    state.seconds = this.#seconds();
    const { result, report } = describeRun(this.#setup, this.#stopsEarly() ? "early_stopping" : byLength);
    await folder.metrics.sync();
    await folder.writeJson("report.json", report);
    await this.#emit({ type: "done", result });
    return result;
  }

  /** Saves what can be saved when a run is stopped from outside, and gives the error that the run ends with. */
  async #stopped(error: unknown): Promise<unknown> {
    const asked =
      this.#control.signal.aborted && (error === this.#control.signal.reason || (error as Error).name === "AbortError");
    if (isDiskFull(error)) return this.#diskFull(error);
    if (!asked && !(error instanceof CallbackError)) return error;
    // A callback that fails must not keep the checkpoint from being written.
    this.#callbacks = [];
    const { folder, state } = this.#setup;
    const { global_step: step } = state;
    // Before the first step there is nothing to lose, and the folder stays free for another start.
    if (step > 0 && step !== this.#savedStep) await this.#save();
    if (!asked) return error;
    const how = step > 0 ? `continue with: tunesmith resume ${folder.path}` : "nothing has been trained";
    return new AbortError(`[train] stopped as asked after step ${step} of ${state.max_steps}; ${how}`, {
      cause: error,
    });
  }

  #diskFull(cause: Error): FileSystemError {
    const { path } = this.#setup.folder;
    const advice =
      this.#savedStep === null
        ? "no checkpoint has been written yet, so free some space, delete this folder and start the run again"
        : `free some space, then: tunesmith resume ${path}`;
    return new FileSystemError(
      `[${path}] expected room for the run's files, got a full disk (${cause.message}); ${advice}`,
      {
        cause,
      },
    );
  }

  async #warn(message: string): Promise<void> {
    await this.#emit({ type: "warning", step: this.#setup.state.global_step, message });
  }

  async #emit(event: TrainEvent): Promise<void> {
    this.#control.emit(event);
    for (const callback of this.#callbacks) {
      try {
        await callback(event, { model: this.#model, session: this.#setup.session });
      } catch (cause) {
        const message = cause instanceof Error ? cause.message : String(cause);
        throw new CallbackError(
          `[callback] expected no error on the event "${event.type}", got: ${message}; mend the callback`,
          {
            cause,
          },
        );
      }
    }
  }

  #seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#begun) / 1000;
  }
}

/** SHA-256 of the hash so far and one more number. */
function chain(hash: string, value: number): string {
  return createHash("sha256")
    .update(hash, "hex")
    .update(Buffer.from(Float64Array.of(value).buffer))
    .digest("hex");
}
