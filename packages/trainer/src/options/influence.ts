// What each option has to do with the numbers of a run: a resumed run must share those that decide them.
import type { ParsedLoraConfig, ParsedTrainingArguments } from "@tunesmith/core";

/**
 * What an option decides: `numbers`, what a step computes; `length`, how long the run is, which matters where learning rates depend on
 * it; `nothing` of either: where results go, what is reported and when.
 */
export type Influence = "numbers" | "length" | "nothing";

/** Options that all trainers share. The type makes a new option an error here until someone has said what it decides. */
export const trainingInfluence: Readonly<Record<keyof ParsedTrainingArguments, Influence>> = {
  outputDir: "nothing",
  runName: "nothing",
  seed: "numbers",
  loggingSteps: "nothing",
  perDeviceTrainBatchSize: "numbers",
  gradientAccumulationSteps: "numbers",
  numTrainEpochs: "length",
  maxSteps: "length",
  trainSamplingStrategy: "numbers",
  simpleMaxLength: "numbers",
  learningRate: "numbers",
  loraplusLrRatio: "numbers",
  embeddingLearningRate: "numbers",
  lrSchedulerType: "numbers",
  warmupSteps: "numbers",
  optim: "numbers",
  optimArgs: "numbers",
  weightDecay: "numbers",
  adamBeta1: "numbers",
  adamBeta2: "numbers",
  adamEpsilon: "numbers",
  maxGradNorm: "numbers",
  perDeviceEvalBatchSize: "nothing",
  evalStrategy: "nothing",
  evalSteps: "nothing",
  evalOnStart: "nothing",
  metricForBestModel: "nothing",
  earlyStoppingPatience: "nothing",
  earlyStoppingThreshold: "nothing",
  samplePrompts: "nothing",
  sampleEverySteps: "nothing",
  sampleMaxNewTokens: "nothing",
  saveStrategy: "nothing",
  saveSteps: "nothing",
  saveTotalLimit: "nothing",
  loadBestModelAtEnd: "nothing",
  gradientCheckpointing: "numbers",
  memoryCheck: "nothing",
  // Sums of float32 depend on how rows are joined into passes, in their last bits.
  tokenBudget: "numbers",
};

/** Options of the adapter. */
export const loraInfluence: Readonly<Record<keyof ParsedLoraConfig, Influence>> = {
  r: "numbers",
  loraAlpha: "numbers",
  targetModules: "numbers",
  excludeModules: "numbers",
  loraDropout: "numbers",
  bias: "numbers",
  useRslora: "numbers",
  useDora: "numbers",
  modulesToSave: "numbers",
  rankPattern: "numbers",
  alphaPattern: "numbers",
  layersToTransform: "numbers",
  layersPattern: "numbers",
  initLoraWeights: "numbers",
  fullFinetuning: "numbers",
  // A checkpoint holds the adapter's weights; where they began no longer matters.
  adapterPath: "nothing",
};
