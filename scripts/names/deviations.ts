// Defaults that are others than those of the libraries the names come from, and why.

const once =
  "gradientCheckpointing is off unless a run would not fit without (TrainingArguments; TRL's SFTConfig has true)";
const unsloth = "Unsloth's get_peft_model, whose adapters these are; tunesmith sft has TRL's";

/** By option, or CLASS.option where it is so for one class alone. The first three are decisions of their own. */
export const deviations: Readonly<Record<string, string>> = {
  seed: "deviation: 3407, the seed of Unsloth's notebooks",
  loggingSteps: "deviation: every step is logged (Unsloth)",
  learningRate: "deviation: 2e-4 for an adapter (Unsloth, QLoRA paper), and 2e-5 for full fine-tuning (TRL)",
  // Another word for the same.
  optim: "the same AdamW: fused is how it is computed here",
  metricForBestModel: "null means the loss there too",
  "ModelConfig.modelRevision": "null is the branch main",
  "TrainingArguments.gradientCheckpointing": "null is off there too",
  "ModelConfig.targetModules":
    "null is what PEFT knows of a family; all linear layers but the head for every one (QLoRA)",
  // Where two libraries disagree, the other one's; or what a run would be without sense without.
  "SFTConfig.gradientCheckpointing": once,
  evalStrategy: "null: no without an evaluation set, else after every epoch; tunesmith sft has no",
  assistantOnlyLoss: "conversations are trained on what the assistant says; tunesmith sft has TRL's false",
  r: unsloth,
  loraAlpha: unsloth,
  targetModules: unsloth,
};
