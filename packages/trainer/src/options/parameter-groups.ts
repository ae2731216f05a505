// The parameter groups of a run: which trained tensors learn at which peak rate, and how much they decay.
import {
  type ParameterGroupOptions,
  type ParameterKind,
  type ParsedLoraConfig,
  type ParsedTrainingArguments,
  parameterKinds,
} from "@tunesmith/core";

/** The options that groups come from. */
type GroupArguments = Pick<
  ParsedTrainingArguments,
  "learningRate" | "weightDecay" | "loraplusLrRatio" | "embeddingLearningRate"
>;

/** The peak learning rate of a run: 2e-4 for an adapter (Unsloth, QLoRA paper), 2e-5 for full fine-tuning (TRL). */
export function peakLearningRate(
  { learningRate }: Pick<GroupArguments, "learningRate">,
  { fullFinetuning }: Pick<ParsedLoraConfig, "fullFinetuning">,
): number {
  return learningRate ?? (fullFinetuning ? 2e-5 : 2e-4);
}

/**
 * One group for each of the engine's, under its name: those of PEFT's `create_loraplus_optimizer`, and of Unsloth's trainer for the
 * embedding. Norms and biases do not decay (Hugging Face's Trainer).
 */
export function parameterGroups(
  args: GroupArguments,
  peft: Pick<ParsedLoraConfig, "fullFinetuning">,
): ParameterGroupOptions[] {
  const { weightDecay: decay, loraplusLrRatio, embeddingLearningRate } = args;
  const peak = peakLearningRate(args, peft);
  // LoRA+ (arXiv:2402.12354) is about adapters.
  const faster = peak * (peft.fullFinetuning ? 1 : (loraplusLrRatio ?? 1));
  const groups: Readonly<Record<ParameterKind, Pick<ParameterGroupOptions, "rate" | "decay">>> = {
    decay: { rate: peak, decay },
    no_decay: { rate: faster, decay: 0 },
    embedding: { rate: embeddingLearningRate ?? peak, decay },
    lora_b: { rate: faster, decay },
  };
  return parameterKinds.map((kind) => ({ name: kind, parameters: [kind], ...groups[kind] }));
}
