// A plan of 5 GiB, for tests of what fits.
import type { MemoryPlan } from "@tunesmith/core";

/** Bytes of a GiB. */
export const gib = 2 ** 30;

/** What a session is said to hold. */
export const plan: MemoryPlan = {
  weights: 3 * gib,
  trained: gib / 4,
  gradients: gib / 4,
  optimizer: gib / 2,
  activations: gib,
  peak: 5 * gib,
  loading: 3.5 * gib,
  totalParameters: 1,
  trainableParameters: 1,
  device: "cpu",
  free: null,
};
