// What every trainer is: a recipe, its inputs, and the ways to start them.
import {
  AbortError,
  expandHome,
  OptionError,
  type OptionKeys,
  optimizerOptions,
  type ParsedLoraConfig,
  type ParsedTrainingArguments,
  parseKeys,
  schedulerOptions,
  TunesmithError,
} from "@tunesmith/core";
import type { DataReport } from "@tunesmith/data";
import type { MemoryEstimate } from "../memory/estimate.ts";
import { evalSetsOf } from "../options/eval-sets.ts";
import type { Resolved } from "../options/resolved.ts";
import type { DiskNeed } from "./disk-space.ts";
import { digestModel } from "./environment.ts";
import { type FirstBatch, firstBatch } from "./first-batch.ts";
import { foreseen } from "./health-watch.ts";
import { namedCallbacks, type TrainCallback } from "./hooks/callback.ts";
import { declaredOwn, parseMetrics } from "./hooks/own-metrics.ts";
import type { Metrics } from "./metrics.ts";
import { type OpenRun, openRun } from "./open-run.ts";
import { preparingEvents } from "./preparing.ts";
import { prepareRun, type RunStart } from "./ready-run.ts";
import type { Recipe, RunInputs } from "./recipe.ts";
import type { TrainResult } from "./result.ts";
import { type RunControl, TrainRun } from "./run.ts";
import { RunClaim } from "./run-claim.ts";
import { refuseOtherRun } from "./run-folder.ts";
import { type BestMetric, bestMetric, settle } from "./settle.ts";
import { runTraining } from "./training.ts";
import { Unheard } from "./unheard.ts";

/** How a run is started. */
export interface TrainOptions {
  /** True: from the newest whole checkpoint of `outputDir`. A path: from that checkpoint. Default false. */
  resumeFromCheckpoint?: boolean | string;
  /** Ends the run as {@link TrainRun.abort} does. */
  signal?: AbortSignal;
}

const trainKeys: OptionKeys<TrainOptions> = { resumeFromCheckpoint: "optional", signal: "optional signal" };

const dryRunKeys: OptionKeys<Pick<TrainOptions, "signal">> = { signal: "optional signal" };

/** What a run would begin with. */
export interface DryRun<Args extends ParsedTrainingArguments = ParsedTrainingArguments> {
  /** Every option, with what model and data have decided. */
  args: Resolved<Args>;
  /** Every option of the adapter; of one that is continued what its folder says. */
  peftConfig: ParsedLoraConfig;
  totalSteps: number;
  data: DataReport;
  /** Of several evaluation sets the first. */
  evalData: DataReport | null;
  /** Of several evaluation sets each, by its name. Default: there is one at most. */
  evalSets?: Readonly<Record<string, DataReport>>;
  /** What the run would take; null where `memoryCheck` is off. */
  memory: MemoryEstimate | null;
  /** Trainable parameters, those of the base model, and the first as a share of the second. */
  parameters: { trainable: number; total: number; share: number };
  /** Checkpoints and result against the free disk. */
  disk: DiskNeed;
  /** Null where only a run knows its first rows. */
  firstBatch: FirstBatch | null;
  /** SHA-256 of the chat template's text that rows are rendered from, hexadecimal; null where there is none. */
  chatTemplateSha256: string | null;
  warnings: readonly string[];
}

/** What every trainer is. Options are checked when it is made, data and files when a run starts. */
export class Trainer<Args extends ParsedTrainingArguments, M extends Metrics> {
  readonly #recipe: Recipe<Args, M>;
  #inputs: RunInputs<Args>;

  constructor(recipe: Recipe<Args, M>, inputs: RunInputs<Args>, callbacks: readonly TrainCallback<M>[]) {
    // What the optimizer or the schedule does not take is refused like any other option: now, and not when a run starts.
    optimizerOptions(inputs.args);
    const metrics = parseMetrics(inputs.metrics ?? {}, recipe.metrics.eval);
    if (Object.keys(metrics).length > 0 && inputs.evalDataset === null)
      throw new OptionError("[metrics] expected an evaluation set to measure on, got none; give evalDataset");
    this.#recipe = recipe;
    // The loop knows events with declared names.
    this.#inputs = { ...inputs, metrics, callbacks: namedCallbacks(callbacks as readonly TrainCallback[]) };
    this.#best();
    schedulerOptions(inputs.args);
  }

  /** Starts training at once. Await the run for its result, or iterate it for its events. */
  train(options: TrainOptions = {}): TrainRun<M> {
    const { resumeFromCheckpoint: resume = false, signal } = parseKeys(trainKeys, options, "train");
    if (typeof resume !== "boolean" && (typeof resume !== "string" || resume === ""))
      throw new OptionError(
        `[resumeFromCheckpoint] expected true, false or the path of a checkpoint, got ${JSON.stringify(resume)}; correct it`,
      );
    const resumeFromCheckpoint = typeof resume === "string" ? expandHome(resume) : resume;
    return new TrainRun<M>(
      async (control) => {
        try {
          return await this.#run(control, resumeFromCheckpoint);
        } catch (error) {
          if (!control.signal.aborted || TunesmithError.isInstance(error)) throw error;
          throw new AbortError("[train] stopped as asked before the first step; nothing has been trained", {
            cause: error,
          });
        }
      },
      signal,
      new Unheard((this.#inputs.callbacks ?? []).length > 0),
    );
  }

  /** What a run is made of. */
  protected get inputs(): RunInputs<Args> {
    return this.#inputs;
  }

  /** Changes options of the runs that are started from here on. */
  protected change(options: Partial<Args>): void {
    this.#inputs = { ...this.#inputs, args: { ...this.#inputs.args, ...options } };
  }

  /** @internal Called with the result of a run that has ended well, before its last event. */
  protected finished(_result: TrainResult<M>): void {}

  /** Everything that a run does before it makes its folder and reads a weight; rejects with what that run would end with. */
  async dryRun(options: { signal?: AbortSignal } = {}): Promise<DryRun<Args>> {
    const { signal = new AbortController().signal } = parseKeys(dryRunKeys, options, "dryRun");
    const ready = await prepareRun(this.#recipe, this.#inputs, this.#start(false), { signal, onPreparing: () => {} });
    const { args, prepared, memory, memoryPlan, disk } = ready;
    const { batches, train, evaluation, evalSets } = prepared;
    const first = await firstBatch(prepared).finally(() => prepared.close?.());
    const { trainableParameters: trainable, totalParameters: total } = memoryPlan;
    const reports = { data: train.report, evalData: evaluation?.report ?? null };
    return {
      // As it was asked for: nothing is written down.
      args: { ...(args as Resolved<Args>), chatTemplatePath: this.#inputs.args.chatTemplatePath },
      peftConfig: this.#inputs.peft,
      totalSteps: batches.totalSteps,
      ...reports,
      ...(evalSets !== undefined && { evalSets }),
      memory,
      parameters: { trainable, total, share: trainable / total },
      disk,
      firstBatch: first,
      chatTemplateSha256: prepared.tokenizer.info.chatTemplateSha256,
      warnings: [...ready.warnings, ...foreseen(ready)],
    };
  }

  async #run(control: RunControl<M>, resume: boolean | string): Promise<TrainResult<M>> {
    const start = this.#start(resume);
    const { outputDir } = start.args;
    // Before anything is read there: what another run has half written would be taken for left-overs.
    const claim = await RunClaim.take(outputDir, resume === true);
    let open: OpenRun;
    try {
      if (resume === false) await refuseOtherRun(outputDir, this.#inputs);
      open = await this.#open(start, claim, control);
    } catch (error) {
      await claim.abandon();
      throw error;
    }
    try {
      // The loop knows metrics as a record with declared names; here they get the names of the recipe back.
      const result = await runTraining(open, control as unknown as RunControl, (ended) =>
        this.finished(ended as TrainResult<M>),
      );
      return result as TrainResult<M>;
    } finally {
      await claim.release();
    }
  }

  #start(resume: boolean | string): RunStart {
    return { args: settle(this.#inputs, resume), best: this.#best(), resume };
  }

  #best(): BestMetric {
    const { args, metrics = {} } = this.#inputs;
    return bestMetric(args, { ...this.#recipe.metrics.eval, ...declaredOwn(metrics) }, namesOfSets(this.#inputs));
  }

  async #open(start: RunStart, claim: RunClaim, { signal, emit }: RunControl<M>): Promise<OpenRun> {
    // Takes seconds for a large model, so it runs during tokenising. Awaited below, where an error is thrown.
    const digest = digestModel(this.#inputs.model.info.path);
    digest.catch(() => {});
    const onPreparing = preparingEvents(emit);
    const ready = await prepareRun(this.#recipe, this.#inputs, start, { signal, onPreparing });
    try {
      return await openRun(ready, claim, await digest, signal);
    } catch (error) {
      await ready.prepared.close?.();
      throw error;
    }
  }
}

function namesOfSets({ evalDataset }: Pick<RunInputs, "evalDataset">): string[] {
  return evalSetsOf(evalDataset).flatMap(({ name }) => name ?? []);
}
