// What the package offers: rows made by a language model from a few tasks.

export type { PromptCompletion } from "./encode.ts";
export type { FilterReport, SelfInstructStep } from "./filters.ts";
export type { GeneratedText, GenerateFunction, GenerateTextOptions, TextGenerator } from "./generate/generate.ts";
export type { TextModel } from "./generate/model-generator.ts";
export type { SelfInstructEvent, SelfInstructFiles, SelfInstructReport, StepReport } from "./report.ts";
export type { SeedTask, SimilarInstruction } from "./seeds.ts";
export { type SelfInstructOptions, selfInstruct } from "./self-instruct.ts";
