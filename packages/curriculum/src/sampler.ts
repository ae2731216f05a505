// What an order of rows is.

/** The order of examples, epoch by epoch. Pure: the same sampler gives the same orders, so a position is (epoch, index) and nothing else. */
export interface Sampler {
  /** Examples in an epoch. */
  size(epoch: number): number;
  /** Indices of an epoch, from 0. */
  epoch(epoch: number): Int32Array;
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
