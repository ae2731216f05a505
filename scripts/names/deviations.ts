// Defaults that are others than those of the libraries the names come from, and why.

/**
 * What kind of difference it is: one that was decided on; another word for the same; or one of two libraries that disagree, or of none,
 * where theirs would do harm unsaid.
 */
export type Difference = "deviation" | "same" | "kept";

const command = "tunesmith sft has TRL's";
const notebooks = `Unsloth's get_peft_model, whose notebooks most adapters come from; ${command}`;

/** By option, or CLASS.option where it is so for one class alone. */
export const deviations: Readonly<Record<string, readonly [Difference, string]>> = {
  seed: ["deviation", "3407, the seed of Unsloth's notebooks"],
  loggingSteps: ["deviation", "every step is logged (Unsloth)"],
  learningRate: ["deviation", "2e-4 for an adapter (Unsloth, QLoRA paper), and 2e-5 for full fine-tuning (TRL)"],
  optim: ["same", "the same AdamW: fused is how it is computed here"],
  metricForBestModel: ["same", "null means the loss there too"],
  "ModelConfig.modelRevision": ["same", "null is the branch main"],
  "TrainingArguments.gradientCheckpointing": ["same", "null is off there too"],
  "ModelConfig.targetModules": [
    "kept",
    "null is what PEFT knows of a family, and refuses others; all linear layers but the head for every one (QLoRA)",
  ],
  "SFTConfig.gradientCheckpointing": [
    "kept",
    `off as in TrainingArguments: layers computed twice are slower, a run that would not fit is refused with this advice, and auto decides it; ${command} true`,
  ],
  evalStrategy: [
    "kept",
    `null: no without an evaluation set, else after every epoch: rows to evaluate with are not left unread in silence; ${command} no`,
  ],
  assistantOnlyLoss: [
    "kept",
    `the words of users are rarely meant to be learned, and a loss over them hides what is; ${command} false`,
  ],
  r: ["kept", notebooks],
  loraAlpha: ["kept", notebooks],
  targetModules: ["kept", notebooks],
};
