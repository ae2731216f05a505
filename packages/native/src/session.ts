// The whole of door B over the binding.
import {
  type Batch,
  type EngineOptions,
  type ModelInfo,
  type Objective,
  parameterKinds,
  type SequenceSums,
  type StepKey,
  type TrainSession,
  type UpdateOptions,
  type UpdateResult,
} from "@tunesmith/core";
import { nativeBatch } from "./batch.ts";
import { type Native, nativeAsync } from "./binding.ts";
import { integer, number, object, path, refuse, seed, typedArray } from "./check.ts";
import { NativeGenerator } from "./generator.ts";
import { groupOf } from "./session-options.ts";

/** A model in memory that is trained. */
export class NativeSession extends NativeGenerator implements TrainSession {
  /** The group of the run that each of the engine's own belongs to. */
  readonly #groups: number[];

  constructor(inner: Native.Session, model: ModelInfo, groups: EngineOptions["parameterGroups"]) {
    super(inner, model, groups);
    this.#groups = parameterKinds.map((kind) => groupOf(groups, kind));
  }

  async accumulate(batch: Batch, options: StepKey & { objective: Objective }): Promise<SequenceSums> {
    const { objective, step, seed: seedValue } = object("accumulate.options", options);
    if (object("accumulate.objective", objective).type !== "nll")
      refuse("accumulate.objective.type", '"nll"', objective.type);
    const key = {
      step: integer("accumulate.step", step, 0, Number.MAX_SAFE_INTEGER),
      seed: seed("accumulate.seed", seedValue),
    };
    const checked = nativeBatch("accumulate", batch);
    return nativeAsync(() => this.inner.accumulate(...checked, key.seed, key.step));
  }

  async update(options: UpdateOptions): Promise<UpdateResult> {
    const { learningRates, maxGradNorm, denominator } = object("update.options", options);
    typedArray("update.learningRates", learningRates, "Float64Array");
    for (const [group, rate] of learningRates.entries()) number(`update.learningRates[${group}]`, rate);
    if (maxGradNorm !== null) number("update.maxGradNorm", maxGradNorm, 0);
    number("update.denominator", denominator, 0);
    if (learningRates.length !== this.info.parameterGroups.length)
      refuse("update.learningRates", `${this.info.parameterGroups.length} rates`, learningRates);
    const rates = Float64Array.from(this.#groups, (group) => learningRates[group] as number);
    return nativeAsync(() => this.inner.update(rates, maxGradNorm, denominator));
  }

  async saveCheckpoint(dir: string): Promise<void> {
    path("saveCheckpoint.dir", dir);
    return nativeAsync(() => this.inner.saveCheckpoint(dir));
  }

  async loadCheckpoint(dir: string): Promise<void> {
    path("loadCheckpoint.dir", dir);
    return nativeAsync(() => this.inner.loadCheckpoint(dir));
  }

  async saveAdapter(dir: string): Promise<void> {
    path("saveAdapter.dir", dir);
    return nativeAsync(() => this.inner.saveAdapter(dir));
  }
}
