// The session that options ask for.
import {
  adapterOptions,
  OptionError,
  optimizerOptions,
  type ParameterGroupOptions,
  type ParsedLoraConfig,
  type ParsedTrainingArguments,
  parameterKinds,
  type SessionOptions,
  TunesmithError,
} from "@tunesmith/core";
import { groupRates } from "./group-rates.ts";

/** The session that options ask for. `gradientCheckpointing: "auto"` that is not decided yet counts as no. */
export function sessionOptions(args: ParsedTrainingArguments, peft: ParsedLoraConfig): SessionOptions {
  return {
    adapter: adapterOptions(peft),
    optimizer: optimizerOptions(args),
    parameterGroups: parameterGroups(args, peft),
    gradientCheckpointing: args.gradientCheckpointing === true,
    seed: args.seed,
  };
}

/** The peak learning rate of a run: 2e-4 for an adapter (Unsloth, QLoRA paper), 2e-5 for full fine-tuning (TRL). */
export function peakLearningRate(args: ParsedTrainingArguments, { fullFinetuning }: ParsedLoraConfig): number {
  return args.learningRate ?? (fullFinetuning ? 2e-5 : 2e-4);
}

/** One group for each of the engine's, under its name. Norms and biases do not decay (Hugging Face's Trainer). */
function parameterGroups(args: ParsedTrainingArguments, peft: ParsedLoraConfig): ParameterGroupOptions[] {
  const groups = {
    parameterGroups: parameterKinds.map((name) => ({ name })),
    adapterModules: peft.fullFinetuning ? null : [],
  };
  const rates = groupRates(groups, peakLearningRate(args, peft), args);
  return parameterKinds.map((kind, n) => ({
    name: kind,
    parameters: [kind],
    rate: rates[n] as number,
    decay: kind === "no_decay" ? 0 : args.weightDecay,
  }));
}

/** For what a session rejects with: every argument of a session is an option of the user's. */
export function asOptionError(error: unknown): never {
  if (TunesmithError.isInstance(error) && error.code === "ARGUMENT_INVALID")
    throw new OptionError(error.message, { cause: error });
  throw error;
}
