// The clipped term of PPO (arXiv:1707.06347), of grpo (arXiv:2402.03300), bnpo, dr_grpo (arXiv:2503.20783), dapo (arXiv:2503.14476), luspo.
import type { PolicyTerm } from "./policy.ts";

/**
 * −min(min(r, δ)·A, clip(r, 1 − ε, 1 + ε_high)·A): a token whose ratio has left the range on the side that its advantage asks for has no
 * gradient. The bound δ holds a ratio of negative advantage too.
 */
export const clippedTerm: PolicyTerm = ({ advantage }, { ratios }, { epsilon, epsilonHigh, delta }) => {
  const [low, high, bound] = [1 - epsilon, 1 + epsilonHigh, delta ?? Number.POSITIVE_INFINITY];
  return (token) => {
    const ratio = ratios[token] as number;
    const free = Math.min(ratio, bound) * advantage;
    const clipped = Math.min(Math.max(ratio, low), high) * advantage;
    const isInside = ratio >= low && ratio <= high;
    const slope = free <= clipped ? ratio <= bound : isInside;
    return { value: -Math.min(free, clipped), byRatio: slope ? -advantage : 0, byLogProb: 0 };
  };
};
