// What the package offers: orders of rows, random numbers by counting, advice on epochs, which texts are novel.

export { type CompetenceOptions, competenceAt, competenceSampler } from "./competence.ts";
export { createSampler, type SamplerOptions, type SamplingStrategy } from "./create-sampler.ts";
export { type CustomSampler, customSampler, type SamplerFactory } from "./custom-sampler.ts";
export { type EpochAdvice, recommendEpochs } from "./epochs.ts";
export { forGenerations, type GenerationShape, generationSeed, shuffledCompletions } from "./generations.ts";
export {
  difficultyOf,
  type LossSums,
  type Measured,
  type MeasuredDifficulty,
  measuredDifficulties,
  ranked,
} from "./measured.ts";
export { drawBelow, drawUnit, keyOf, permutation, philox, purpose } from "./philox.ts";
export type { Difficulty, SamplerContext, SamplerRow } from "./rows.ts";
export type { Sampler, SamplerPart } from "./sampler.ts";
export { type ShuffleOptions, shuffled } from "./shuffle-buffer.ts";
export { type Novelty, NoveltyFilter, type NoveltyOptions } from "./similarity/novelty.ts";
export type { Stage } from "./stage.ts";
export { type StagesOptions, stagedSampler } from "./stages.ts";
export { type WeightedOptions, weightedSampler } from "./weighted.ts";
