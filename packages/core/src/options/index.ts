// Options: their schemas, and how given ones are checked, named and sorted.
export { count, grouped, type OptionGroup, optionGroups } from "./declare.ts";
export { type LoraConfig, loraConfigSchema, type ParsedLoraConfig } from "./lora.ts";
export { type ModelConfig, modelConfigSchema, type ParsedModelConfig } from "./model.ts";
export { canonicalName, kebabCase, nearestName, snakeCase } from "./names.ts";
export { canonicalKeys, type GivenOptions, parseOptions } from "./parse.ts";
export { type ParsedSFTConfig, type ResolvedConfig, type SFTConfig, sftConfigSchema } from "./sft.ts";
export { namesOf, type Schemas, sortOptions } from "./sort.ts";
export { type ParsedTrainingArguments, trainingArgumentsSchema } from "./training-arguments.ts";
