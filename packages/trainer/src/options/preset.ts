// The options of a run with those of its preset.
import {
  canonicalKeys,
  type LanguageModel,
  type LoraConfig,
  loraConfigSchema,
  modelConfigSchema,
  presetNamed,
  presetOptions,
  presetValues,
  type SFTConfig,
  sftConfigSchema,
} from "@tunesmith/core";

/** Options of a run, with what its preset adds. */
export interface PresetRun {
  args: SFTConfig;
  peftConfig: LoraConfig;
  /** What of the preset the model, which is open already, was not opened with, in words. */
  warnings: string[];
}

/**
 * Options with the values of `args.preset` for all that are not given. How weights are held is decided where a model is opened. A name
 * that is no preset is an `OptionError`.
 */
export function withPreset(args: SFTConfig, peftConfig: LoraConfig, model: LanguageModel | null): PresetRun {
  const name: unknown = args?.preset;
  // What is no name at all is for the check of the options to say.
  if (typeof name !== "string") return { args, peftConfig, warnings: [] };
  const names = { args: Object.keys(sftConfigSchema.shape), peft: Object.keys(loraConfigSchema.shape) };
  const own = canonicalKeys(args, names.args, "SFTConfig");
  const adapter = canonicalKeys(peftConfig, names.peft, "LoraConfig");
  const applied = presetValues(presetNamed(name), { ...own, ...adapter }, model?.info ?? null);
  const held: Readonly<Record<string, unknown>> = { ...model?.weightOptions };
  const wanted = Object.entries(presetOptions(applied, Object.keys(modelConfigSchema.shape)));
  const others = model === null ? [] : wanted.filter(([option, value]) => held[option] !== value);
  return {
    args: { ...presetOptions(applied, names.args), ...args },
    peftConfig: { ...presetOptions(applied, names.peft), ...peftConfig },
    warnings: others.map(
      ([option, value]) =>
        `preset ${name} has ${option} ${JSON.stringify(value)}, and the model is opened with ${JSON.stringify(held[option])}; give ${option} to fromPretrained to have the preset whole`,
    ),
  };
}
