// Options of the adapter as a trainer takes them.
import { loraConfigSchema, OptionError, type ParsedLoraConfig, parseOptions } from "@tunesmith/core";

/** Checks options of the adapter. One that is continued and full fine-tuning exclude each other: `OptionError`. */
export function parsePeftConfig(given: object): ParsedLoraConfig {
  const peft = parseOptions(loraConfigSchema, given);
  if (peft.fullFinetuning && peft.adapterPath !== null)
    throw new OptionError("[adapterPath] expected no adapter with fullFinetuning, got both; leave one of them out");
  return peft;
}
