// The session that options ask for.
import {
  type LoraOptions,
  OptionError,
  type ParsedLoraConfig,
  type ParsedTrainingArguments,
  type SessionOptions,
  TunesmithError,
} from "@tunesmith/core";

/** The session that options ask for. `gradientCheckpointing: "auto"` that is not decided yet counts as no. */
export function sessionOptions(args: ParsedTrainingArguments, peft: ParsedLoraConfig): SessionOptions {
  const { adapterPath, fullFinetuning } = peft;
  const adapter = adapterPath === null ? newAdapter(peft) : { path: adapterPath };
  const { adamBeta1, adamBeta2, adamEpsilon, weightDecay, gradientCheckpointing, seed } = args;
  return {
    adapter: fullFinetuning ? null : adapter,
    optimizer: { adamBeta1, adamBeta2, adamEpsilon, weightDecay },
    gradientCheckpointing: gradientCheckpointing === true,
    seed,
  };
}

function newAdapter(peft: ParsedLoraConfig): LoraOptions {
  const { fullFinetuning: _full, adapterPath: _path, bias: _bias, ...options } = peft;
  const list = <T extends string | number>(value: T | T[] | null) =>
    value === null || typeof value === "object" ? value : [value];
  return {
    ...options,
    modulesToSave: list(options.modulesToSave),
    layersToTransform: list(options.layersToTransform),
    layersPattern: list(options.layersPattern),
  };
}

/** For what a session rejects with: every argument of a session is an option of the user's. */
export function asOptionError(error: unknown): never {
  if (TunesmithError.isInstance(error) && error.code === "ARGUMENT_INVALID")
    throw new OptionError(error.message, { cause: error });
  throw error;
}
