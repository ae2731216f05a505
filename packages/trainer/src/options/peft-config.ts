// Options of the adapter as a trainer takes them.
import { loraConfigSchema, OptionError, type ParsedLoraConfig, parseOptions } from "@tunesmith/core";
import { continuedAdapter, refuseAdapterOptions } from "./adapter-options.ts";

/**
 * Checks options of the adapter. One that is continued and full fine-tuning exclude each other, and both exclude options that describe a
 * new adapter: `OptionError`.
 */
export function parsePeftConfig(given: object): ParsedLoraConfig {
  const peft = parseOptions(loraConfigSchema, given);
  if (peft.fullFinetuning && peft.adapterPath !== null)
    throw new OptionError("[adapterPath] expected no adapter with fullFinetuning, got both; leave one of them out");
  if (peft.fullFinetuning) refuseAdapterOptions(peft, loraConfigSchema.parse({}));
  return continuedAdapter(peft, given);
}
