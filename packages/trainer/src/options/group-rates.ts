// The learning rate of each group of trained tensors.
import type { ParameterGroup } from "@tunesmith/core";

/** What groups of parameters learn at besides the run's learning rate. */
export interface GroupRates {
  /** Times the learning rate, for B and one-dimensional tensors of an adapter (LoRA+, arXiv:2402.12354); null is 1. */
  loraplusLrRatio: number | null;
  /** The learning rate of this step for embedding and head that an adapter trains whole; null: the run's. */
  embeddingLearningRate: number | null;
}

/**
 * One learning rate per parameter group, in the session's order: the groups of PEFT's `create_loraplus_optimizer`, and of Unsloth's
 * trainer for the embedding. Every rate follows the run's schedule.
 */
export function groupRates(
  {
    parameterGroups,
    adapterModules,
  }: { parameterGroups: readonly Pick<ParameterGroup, "name">[]; adapterModules: readonly string[] | null },
  learningRate: number,
  { loraplusLrRatio, embeddingLearningRate }: GroupRates,
): Float64Array {
  const faster = learningRate * (adapterModules === null ? 1 : (loraplusLrRatio ?? 1));
  return Float64Array.from(parameterGroups, ({ name }) => {
    if (name === "embedding") return embeddingLearningRate ?? learningRate;
    return name === "lora_b" || name === "no_decay" ? faster : learningRate;
  });
}
