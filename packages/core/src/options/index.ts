// Options: their schemas, and how given ones are checked, named and sorted.
export { count, grouped, type OptionGroup, optionGroups } from "./declare.ts";
export { type LoraConfig, loraConfigSchema, type ParsedLoraConfig } from "./lora.ts";
export { type ModelConfig, modelConfigSchema, type ParsedModelConfig } from "./model.ts";
export { canonicalName, kebabCase, nearestName, snakeCase } from "./names.ts";
export { adamwSchema, optimizerOptions, optimizerSchema, sgdSchema } from "./optimizer.ts";
export { canonicalKeys, type GivenOptions, parseArgument, parseOptions } from "./parse.ts";
export {
  type AdapterOptions,
  adapterOptions,
  engineOptionsSchema,
  newAdapterSchema,
  type ParameterGroupOptions,
  type ParameterKind,
  parameterGroupSchema,
  parameterKinds,
  savedAdapterSchema,
  sessionOptionsSchema,
  weightsSchema,
} from "./session.ts";
export { type ParsedSFTConfig, type ResolvedConfig, type SFTConfig, sftConfigSchema } from "./sft.ts";
export { namesOf, type Schemas, sortOptions } from "./sort.ts";
export { type ParsedTrainingArguments, trainingArgumentsSchema } from "./training-arguments.ts";
