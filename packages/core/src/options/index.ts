// Options: their schemas, and how given ones are checked, named and sorted.

export { jsonValue, valuesByName } from "./constants.ts";
export { count, grouped, type Influence, type OptionGroup, optionGroups } from "./declare.ts";
export { deviceOptionsSchema, type ParsedDeviceOptions } from "./device.ts";
export { dpoConfigSchema, dpoLossTypes, type ParsedDPOConfig } from "./dpo.ts";
export { adviceFor } from "./elsewhere.ts";
export { evaluationConfigSchema, type ParsedEvaluationConfig, readingOptionsSchema } from "./evaluation.ts";
export { refusedValue } from "./expectation.ts";
export type * from "./field/types.ts";
export { effective, takenOf, type Verdict, verdictOn } from "./field/verdicts.ts";
export {
  batchGenerationConfigSchema,
  generationConfigSchema,
  type ParsedBatchGenerationConfig,
  type ParsedGenerationConfig,
  rolloutConfigSchema,
} from "./generation.ts";
export { grpoConfigSchema, grpoLossTypes, type ParsedGRPOConfig } from "./grpo.ts";
export {
  type DatasetSpec,
  datasetSpecSchema,
  type EvalDatasetSpec,
  evalDatasetSpecSchema,
  type ParsedRunInputs,
  runInputsSchema,
} from "./inputs.ts";
export {
  type DeclaredOption,
  formsOf,
  type JsonForm,
  type JsonSchema,
  jsonSchemaOf,
  optionsOf,
} from "./json-schema.ts";
export { type OptionKeys, parseKeys } from "./keys.ts";
export { loraConfigSchema, type ParsedLoraConfig } from "./lora.ts";
export { modelConfigSchema, type ParsedModelConfig } from "./model.ts";
export type * from "./model-types.ts";
export { canonicalName, kebabCase, nearestName, snakeCase, withCanonicalEntries } from "./names.ts";
export {
  adafactorSchema,
  adagradSchema,
  adamOptionsOf,
  adamwSchema,
  ademamixSchema,
  lionSchema,
  lorafaSchema,
  muonSchema,
  type OptimizerOptions,
  optimizerNote,
  optimizerOptions,
  optimizerSchema,
  optimizerSchemas,
  rmspropSchema,
  scheduleFreeSchema,
  sgdSchema,
  warmsUpItself,
} from "./optimizer.ts";
export { type EngineOptimizer, type OptimizerName, optimizerNames } from "./optimizer-names.ts";
export { canonicalKeys, parseArgument, parseOptions } from "./parse.ts";
export type * from "./preference-types.ts";
export {
  type AppliedPresetValue,
  type Preset,
  type PresetModel,
  type PresetName,
  type PresetValue,
  presetNamed,
  presetNames,
  presetOptions,
  presetValues,
} from "./presets.ts";
export { together } from "./problems.ts";
export type * from "./reward-types.ts";
export {
  hasWarmup,
  type SchedulerOptions,
  type SchedulerType,
  schedulerOptions,
  schedulerTypes,
  watchesMetric,
} from "./scheduler.ts";
export { type ParsedScriptArguments, scriptArgumentsSchema, scriptDefaults } from "./script.ts";
export {
  type ParsedSelfInstructConfig,
  type SelfInstructFilter,
  selfInstructConfigSchema,
  selfInstructFilters,
} from "./self-instruct.ts";
export {
  type AdapterOptions,
  adapterOptions,
  type EngineOptions,
  engineOptionsSchema,
  type GeneratorOptions,
  generatorOptionsSchema,
  type LoraOptions,
  loraOptionsSchema,
  type ParameterGroupOptions,
  type ParameterKind,
  parameterGroupSchema,
  parameterKinds,
  type SessionOptions,
  savedAdapterSchema,
  sessionOptionsSchema,
  weightsSchema,
} from "./session.ts";
export { defaultMaxRowBytes, type ParsedSFTConfig, sftConfigSchema } from "./sft.ts";
export { parseSize } from "./size.ts";
export { namesOf, onlyGiven, type Schemas, type Sorted, sortOptions, sortOptionsBeside } from "./sort.ts";
export { type ParsedTrainingArguments, trainingArgumentsSchema } from "./training-arguments.ts";
export type * from "./types.ts";
