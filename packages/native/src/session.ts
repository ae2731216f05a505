// The whole of door B over the binding.
import type {
  Batch,
  Coefficients,
  Objective,
  SequenceSums,
  StepKey,
  TokenValueOptions,
  TokenValues,
  TrainSession,
  UpdateOptions,
  UpdateResult,
} from "@tunesmith/core";
import { nameBaseModel } from "./base-model.ts";
import { extraValues, nativeBatch, nativeCoefficients, objectiveJson } from "./batch.ts";
import type { Native } from "./binding.ts";
import { integer, number, object, path, seed, typedArray } from "./check.ts";
import { NativeGenerator } from "./generator.ts";

/** A model in memory that is trained. */
export class NativeSession extends NativeGenerator implements TrainSession {
  async accumulate(batch: Batch, options: StepKey & { objective: Objective }): Promise<SequenceSums> {
    const key = stepKey("accumulate", options);
    const json = objectiveJson("accumulate", options.objective);
    const checked = nativeBatch("accumulate", batch);
    return this.call(() => this.inner.accumulate(checked, json, key));
  }

  async forward(batch: Batch, options: StepKey & TokenValueOptions): Promise<TokenValues> {
    const key = stepKey("forward", options);
    const values = extraValues("forward", options);
    const checked = nativeBatch("forward", batch);
    return this.call(() => this.inner.forward(checked, key, values));
  }

  async backward(coefficients: Coefficients): Promise<void> {
    const checked = nativeCoefficients("backward", coefficients);
    return this.call(() => this.inner.backward(checked));
  }

  async update(options: UpdateOptions): Promise<UpdateResult> {
    const { learningRates, maxGradNorm, denominator } = object("update.options", options);
    typedArray("update.learningRates", learningRates, "Float64Array");
    for (const [group, rate] of learningRates.entries()) number(`update.learningRates[${group}]`, rate);
    if (maxGradNorm !== null) number("update.maxGradNorm", maxGradNorm, 0);
    number("update.denominator", denominator, 0);
    return this.call(() => this.inner.update({ learningRates, maxGradNorm, denominator }));
  }

  async discardGradient(): Promise<string[]> {
    return this.call(() => this.inner.discardGradient());
  }

  async saveCheckpoint(dir: string): Promise<void> {
    const folder = path("saveCheckpoint.dir", dir);
    await this.call(() => this.inner.saveCheckpoint(folder));
    await nameBaseModel(folder, this.model.origin);
  }

  async loadCheckpoint(dir: string): Promise<void> {
    const folder = path("loadCheckpoint.dir", dir);
    return this.call(() => this.inner.loadCheckpoint(folder));
  }

  async saveAdapter(dir: string): Promise<void> {
    const folder = path("saveAdapter.dir", dir);
    await this.call(() => this.inner.saveAdapter(folder));
    await nameBaseModel(folder, this.model.origin);
  }
}

function stepKey(place: string, options: StepKey): Native.StepKey {
  const given = object(`${place}.options`, options);
  return {
    step: integer(`${place}.step`, given.step, 0, Number.MAX_SAFE_INTEGER),
    seed: seed(`${place}.seed`, given.seed),
  };
}
