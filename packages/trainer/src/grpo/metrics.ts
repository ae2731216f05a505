// The metrics of group relative policy optimization.
import type { DeclaredMetrics, Metrics } from "../loop/metrics.ts";

/**
 * The metrics of group relative policy optimization, by TRL's names. Those of rewards and completions are there where a generation was
 * sampled, `kl` with `beta`, `clip_ratio/*` with losses that clip; functions add their own.
 */
export interface GRPOMetrics extends Metrics {
  log: {
    /** Unweighted mean of the micro-batches' losses. Near 0 while the model is the one that sampled: its gradient is not. */
    loss: number;
    /** Mean of the completions' weighted sums of rewards. */
    reward?: number;
    /** Their deviation over the whole generation, not within groups. */
    reward_std?: number;
    /** Share of the completions whose group has no variance: they teach nothing. */
    frac_reward_zero_std?: number;
    /** Mean over the trained tokens, in nats. */
    entropy?: number;
    /** Mean divergence from the reference over the trained tokens, in nats. */
    kl?: number;
    [name: `${string}/${string}`]: number;
  };
  eval: { evalLoss: number };
}

/** How they come about: all but the loss are means over what gave them. */
export const grpoMetrics: DeclaredMetrics<GRPOMetrics> = {
  log: { loss: "ratio" } as DeclaredMetrics<GRPOMetrics>["log"],
  eval: { evalLoss: "lower" },
};
