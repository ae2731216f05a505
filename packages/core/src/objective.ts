// What is minimised over the supervised tokens, as data.

/**
 * A named objective: the loss of a token is a function of what the model says about that token alone, so forward and backward are one
 * pass. `nll` is −log p of the label; `dft` is −p · log p with p taken as a constant (arXiv:2508.05629). The engine refuses one it does
 * not know, and parameters out of range.
 */
export type Objective =
  | {
      type: "nll";
      /** Share of the loss that goes to the mean over the vocabulary, from 0 to 1 (arXiv:1512.00567). Default 0. */
      labelSmoothing?: number;
      /** Factor of (log Σ exp z)², from 0 (arXiv:2204.02311). Default 0. */
      zLoss?: number;
    }
  | { type: "dft" };
