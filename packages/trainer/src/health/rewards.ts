// What goes wrong in training on rewards while its numbers look well.
import { percent, significant } from "@tunesmith/core";
import { type HealthRule, type HealthStep, mean } from "./rule.ts";

/** Steps with a generation, or steps, that are taken together. */
const together = 5;

/** Values of a metric over the newest steps, those that have it. */
function valuesOf(steps: readonly HealthStep[], name: string): number[] {
  return steps.flatMap(({ metrics }) => (Number.isFinite(metrics[name]) ? [metrics[name] as number] : []));
}

/** Groups whose completions are all worth the same. */
const groupsWithoutVariance: HealthRule = {
  name: "groups-without-variance",
  check({ steps, step }) {
    const shares = valuesOf(steps, "frac_reward_zero_std").slice(-together);
    const share = mean(shares);
    if (shares.length < together || share < 0.9) return null;
    return {
      message: `${percent(share)} of the completions of the last ${together} generations, up to step ${step}, were rewarded like all others of their prompt, and teach nothing`,
      value: share,
      remedy:
        "take prompts that are neither always right nor always wrong, a reward with more steps between, a higher temperature or more numGenerations",
    };
  },
};

/** No completion comes to its end. */
const everyCompletionCut: HealthRule = {
  name: "every-completion-cut",
  check({ steps, step }) {
    const newest = 3;
    const shares = valuesOf(steps, "completions/clipped_ratio").slice(-newest);
    if (shares.length < newest || mean(shares) < 1) return null;
    return {
      message: `no completion of the last ${newest} generations, up to step ${step}, came to its end before maxCompletionLength`,
      value: 1,
      remedy: "raise maxCompletionLength, or see that the chat template and eosToken end an answer as the model does",
    };
  },
};

/** The reward rises with the length, not with the answers. */
const rewardByLength: HealthRule = {
  name: "reward-by-length",
  check({ steps, step }) {
    const rewards = valuesOf(steps, "reward");
    const lengths = valuesOf(steps, "completions/mean_length");
    if (rewards.length < 2 * together) return null;
    const [before, now] = [mean(lengths.slice(0, together)), mean(lengths.slice(-together))];
    const [low, high] = [mean(rewards.slice(0, together)), mean(rewards.slice(-together))];
    if (!(high > low) || now < 2 * before) return null;
    return {
      message: `the reward rises, ${significant(low)} to ${significant(high)} up to step ${step}, while completions become ${significant(now / before)} times as long: ${significant(before)} to ${significant(now)} tokens`,
      value: now / before,
      remedy:
        "read completions.jsonl; add getSoftOverlongPunishment or a repetition penalty where the length alone is rewarded",
    };
  },
};

/** The model is sure of everything. */
const entropyCollapse: HealthRule = {
  name: "entropy-collapse",
  check({ steps, step }) {
    const entropies = valuesOf(steps, "entropy");
    if (entropies.length < 2 * together) return null;
    const [before, now] = [mean(entropies.slice(0, together)), mean(entropies.slice(-together))];
    if (now > 0.1 * before || now > 0.3) return null;
    return {
      message: `the entropy has collapsed, ${significant(before)} to ${significant(now)} nats per token up to step ${step}: completions of a prompt become the same, and nothing is found any more`,
      value: now,
      remedy:
        "lower learningRate, raise epsilonHigh or beta, or give entropyCoef; a run whose reward is as high as it gets may end",
    };
  },
};

/** Nats per token from which on a model is another one than its reference. */
const farthest = 1;

/** The model leaves its reference. */
const divergenceTooLarge: HealthRule = {
  name: "kl-out-of-range",
  check({ steps, step }) {
    const divergences = valuesOf(steps, "kl").slice(-together);
    const value = mean(divergences);
    if (divergences.length < together || value <= farthest) return null;
    return {
      message: `the divergence from the reference is ${significant(value)} nats per token over the last ${together} steps, up to step ${step}, beyond ${farthest}`,
      value,
      remedy: "lower learningRate or raise beta; look at completions.jsonl for what is rewarded and was not meant",
    };
  },
};

/** The rules of training on rewards. */
export function rewardRules(): readonly HealthRule[] {
  return [groupsWithoutVariance, everyCompletionCut, rewardByLength, entropyCollapse, divergenceTooLarge];
}
