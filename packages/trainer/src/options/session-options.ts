// The session that options ask for.
import {
  adapterOptions,
  OptionError,
  optimizerOptions,
  type ParsedLoraConfig,
  type ParsedTrainingArguments,
  type SessionOptions,
  TunesmithError,
} from "@tunesmith/core";
import { parameterGroups } from "./parameter-groups.ts";

/** The session that options ask for. `gradientCheckpointing: "auto"` that is not decided yet counts as no. */
export function sessionOptions(args: ParsedTrainingArguments, peft: ParsedLoraConfig): SessionOptions {
  return {
    adapter: adapterOptions(peft),
    optimizer: optimizerOptions(args),
    parameterGroups: parameterGroups(args, peft),
    gradientCheckpointing: args.gradientCheckpointing === true,
    seed: peft.randomState ?? args.seed,
    ...(args.residPdrop === 0 ? {} : { residPdrop: args.residPdrop }),
    ...(args.neftuneNoiseAlpha === null ? {} : { neftuneNoiseAlpha: args.neftuneNoiseAlpha }),
  };
}

/** For what a session rejects with: every argument of a session is an option of the user's. */
export function asOptionError(error: unknown): never {
  if (TunesmithError.isInstance(error) && error.code === "ARGUMENT_INVALID")
    throw new OptionError(error.message, { cause: error });
  throw error;
}
