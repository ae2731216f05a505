// A model in memory that is trained: the whole of door B.
import type { Batch, Coefficients, SequenceSums, TokenValueOptions, TokenValues } from "./batch.ts";
import type { Generator } from "./generator.ts";
import type { Objective } from "./objective.ts";

/** What keys the dropout of an adapter besides the batch's `rowIds`, so that no mask depends on how rows are packed into batches. */
export interface StepKey {
  /** Optimizer step, from 1. */
  step: number;
  /** Seed of the run. */
  seed: number;
}

/** What one update is asked to do. */
export interface UpdateOptions {
  /** One per parameter group, in the order of `info.parameterGroups`. */
  learningRates: Float64Array;
  /** Clip the global norm of the gradient to this; null clips nothing. */
  maxGradNorm: number | null;
  /** The summed gradient is divided by this. */
  denominator: number;
}

/** What one update did. */
export interface UpdateResult {
  /** Global norm of the divided gradient, before clipping. */
  gradNorm: number;
  /** False when the gradient was not finite: every weight and every state of the optimizer is as it was. */
  applied: boolean;
}

/** A model in memory that is trained: batches go in and sums come back. */
export interface TrainSession extends Generator {
  /** Forward and backward of one packed batch; the gradient is added to what is there, as a sum, never a mean. */
  accumulate(batch: Batch, options: StepKey & { objective: Objective }): Promise<SequenceSums>;
  /**
   * Phase one of an objective that is a function in TypeScript: values of every supervised token of one packed batch, with what backward
   * needs kept in memory; `backward` is of the same temperature. A second `forward` takes the place of the first.
   */
  forward(batch: Batch, options: StepKey & TokenValueOptions): Promise<TokenValues>;
  /**
   * Phase two of the last `forward`: the gradient of the loss whose derivatives are given is added to what is there. The head's logits
   * are computed again: one product with the vocabulary more than in `accumulate`. Rejects with `ArgumentError` where the call before it
   * was no `forward`.
   */
  backward(coefficients: Coefficients): Promise<void>;
  /**
   * Divides the summed gradient, clips it by its global norm, takes one step of the optimizer and clears the gradient. Rejects with
   * `ArgumentError` after an `accumulate` or `backward` that failed in the middle of its batch, until `discardGradient`.
   */
  update(options: UpdateOptions): Promise<UpdateResult>;
  /**
   * Throws the summed gradient away. Gives the names of the trained tensors, in the order of the model, in whose gradient a value was
   * not finite. Reads all of it from the device: for the word about a run that fails, not for every step.
   */
  discardGradient(): Promise<string[]>;
  /** Writes adapter or model, and optimizer state, into an existing folder (see `checkpoint` in the trainer). */
  saveCheckpoint(dir: string): Promise<void>;
  /** Reads what `saveCheckpoint` wrote. A mismatch leaves the session as it was. */
  loadCheckpoint(dir: string): Promise<void>;
  /** Writes a PEFT adapter folder, or `model.safetensors` after full fine-tuning. */
  saveAdapter(dir: string): Promise<void>;
}
