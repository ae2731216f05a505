// What an order of rows is.
import type { Measured, MeasuredDifficulty } from "./measured.ts";

/**
 * The order of examples, epoch by epoch. Pure: the same sampler gives the same orders for the same measured difficulties, so a position is
 * (epoch, index) and what was measured, and nothing else.
 */
export interface Sampler {
  /** Examples in an epoch, whatever is measured. */
  size(epoch: number): number;
  /**
   * Indices of an epoch, from 0. Made in slices, between which the event loop turns.
   *
   * @param measured how hard the model finds the rows: given where `measures` asks for it
   */
  epoch(epoch: number, measured?: Measured): Promise<Int32Array>;
  /** What the model must be asked of every row before an epoch is. Default: nothing. */
  readonly measures?: MeasuredDifficulty | undefined;
  /** What the user should know before training. */
  readonly warnings: readonly string[];
  /** Parts that the epochs fall into, such as the stages of a curriculum, in their order. Default: none. */
  readonly parts?: readonly SamplerPart[] | undefined;
}

/** Epochs from one on, by what they are for. */
export interface SamplerPart {
  name: string;
  /** The first, from 0. */
  epoch: number;
}
