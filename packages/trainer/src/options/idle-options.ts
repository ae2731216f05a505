// Options that were set though another one leaves them without effect, and rates that teach nothing.
import type { ParsedModelConfig, ParsedTrainingArguments, Schemas } from "@tunesmith/core";
import { adamOptionsOf, hasWarmup, modelConfigSchema, type ParsedLoraConfig, warmsUpItself } from "@tunesmith/core";
import { answersPrompts } from "./sampling.ts";

/** A run, as far as its options say. */
export interface OptionSetting {
  args: ParsedTrainingArguments;
  peft: ParsedLoraConfig;
  weights: Readonly<ParsedModelConfig>;
  hasEvaluation: boolean;
  hasCallbacks: boolean;
  /** Names of the functions that the program gave. */
  fromProgram: readonly string[];
}

/** Options that have no effect in some setting, and why; null where they have one. */
interface Rule {
  options: readonly string[];
  because(setting: OptionSetting): string | null;
}

const when = (condition: boolean, why: string) => (condition ? why : null);

/** Options of orders that only some strategies have. */
const curricula: readonly { options: readonly string[]; strategies: readonly string[] }[] = [
  { options: ["simpleMaxLength", "stages", "hardShare"], strategies: ["staged"] },
  { options: ["competenceSteps", "initialCompetence"], strategies: ["competence"] },
  { options: ["difficulty", "difficultySteps", "reverseCurriculum"], strategies: ["staged", "competence"] },
];

const rules: readonly Rule[] = [
  {
    options: ["warmupSteps"],
    because: ({ args, fromProgram }) =>
      when(
        !fromProgram.includes("lrScheduler") && !hasWarmup(args.lrSchedulerType) && !warmsUpItself(args.optim),
        `lrSchedulerType ${args.lrSchedulerType} has no warm-up; constant_with_warmup has one`,
      ),
  },
  {
    options: ["lrSchedulerType", "lrSchedulerKwargs"],
    because: ({ fromProgram }) => when(fromProgram.includes("lrScheduler"), "lrScheduler gives the learning rates"),
  },
  {
    options: ["adamBeta1", "adamBeta2"],
    because: ({ args }) => when(!adamOptionsOf(args.optim).includes("adamBeta1"), `optim is ${args.optim}`),
  },
  {
    options: ["adamEpsilon"],
    because: ({ args }) => when(!adamOptionsOf(args.optim).includes("adamEpsilon"), `optim is ${args.optim}`),
  },
  {
    options: ["loraplusLrRatio"],
    because: ({ peft }) => when(peft.fullFinetuning, "fullFinetuning trains no adapter"),
  },
  {
    options: ["simpleMaxLength"],
    because: ({ args }) =>
      when(args.trainSamplingStrategy === "staged" && args.stages !== null, "stages say which rows come first"),
  },
  ...curricula.map(
    ({ options, strategies }): Rule => ({
      options,
      because: ({ args, fromProgram }) =>
        when(
          !fromProgram.includes("sampler") && !strategies.includes(args.trainSamplingStrategy),
          `trainSamplingStrategy is not ${strategies.join(" or ")}`,
        ),
    }),
  ),
  {
    options: ["difficultySteps"],
    because: ({ args, fromProgram }) =>
      when(
        !fromProgram.includes("sampler") &&
          (args.trainSamplingStrategy === "staged" || args.trainSamplingStrategy === "competence") &&
          args.difficulty !== "loss" &&
          args.difficulty !== "ifd",
        `difficulty is ${args.difficulty}, which no step changes`,
      ),
  },
  {
    // A sampler may have rows measured; where it has not, that is said once it is known.
    options: [
      "trainSamplingStrategy",
      ...curricula.flatMap(({ options }) => options.filter((name) => name !== "difficultySteps")),
    ],
    because: ({ fromProgram }) => when(fromProgram.includes("sampler"), "sampler gives the order of the rows"),
  },
  {
    options: ["precomputeRefBatchSize"],
    because: ({ args }) =>
      when("precomputeRefLogProbs" in args && args.precomputeRefLogProbs !== true, "precomputeRefLogProbs is off"),
  },
  {
    options: ["packingStrategy"],
    because: ({ args }) =>
      when("packing" in args && !args.packing && "evalPacking" in args && args.evalPacking !== true, "packing is off"),
  },
  {
    options: ["lossType", "labelSmoothingFactor", "zLossMultiplier"],
    because: ({ fromProgram }) =>
      when(fromProgram.includes("computeLossFunc"), "computeLossFunc says what is minimised"),
  },
  {
    options: ["labelSmoothingFactor", "zLossMultiplier"],
    because: ({ args, fromProgram }) =>
      when(
        !fromProgram.includes("computeLossFunc") && "lossType" in args && args.lossType === "dft",
        "lossType is dft",
      ),
  },
  {
    // Rows that are cut anyway are not first cut to the same length.
    options: ["truncationMode"],
    because: ({ args }) =>
      when(
        "packing" in args &&
          args.packing === true &&
          "packingStrategy" in args &&
          (args.packingStrategy === "bfd_split" || args.packingStrategy === "wrapped"),
        "packingStrategy splits long rows",
      ),
  },
  {
    options: ["perDeviceTrainBatchSize"],
    because: ({ args }) => when(args.maxTokensPerBatch !== null, "maxTokensPerBatch says how many rows a batch has"),
  },
  {
    options: ["dataloaderDropLast"],
    because: ({ args }) => when(args.maxTokensPerBatch !== null, "maxTokensPerBatch says what a batch holds"),
  },
  {
    options: ["loggingSteps"],
    because: ({ args }) => when(args.loggingStrategy !== "steps", `loggingStrategy is ${args.loggingStrategy}`),
  },
  {
    options: ["bufferSize"],
    because: ({ args }) =>
      when("streaming" in args && args.streaming === false, "streaming is off") ??
      when(args.trainSamplingStrategy === "sequential", "trainSamplingStrategy is sequential"),
  },
  {
    options: ["instructionPart", "responsePart"],
    because: ({ args }) =>
      when("trainOnResponsesOnly" in args && args.trainOnResponsesOnly === false, "trainOnResponsesOnly is off"),
  },
  {
    options: ["splitBy", "splitStrategy"],
    because: ({ args }) => when("testSize" in args && args.testSize === null, "testSize is not given"),
  },
  {
    options: [
      "evalOnStart",
      "evalDelay",
      "greaterIsBetter",
      "evalPacking",
      "perDeviceEvalBatchSize",
      "metricForBestModel",
    ],
    because: ({ hasEvaluation }) => when(!hasEvaluation, "there is no evaluation set"),
  },
  {
    options: ["evalSteps"],
    because: ({ args }) =>
      when(args.evalStrategy !== null && args.evalStrategy !== "steps", `evalStrategy is ${args.evalStrategy}`),
  },
  {
    options: ["earlyStoppingThreshold"],
    because: ({ args }) => when(args.earlyStoppingPatience === null, "earlyStoppingPatience is off"),
  },
  {
    options: ["samplePrompts", "sampleMaxNewTokens"],
    because: ({ args, hasCallbacks }) =>
      when(!answersPrompts(args) && !hasCallbacks, "sampleOnEval and sampleEverySteps are off"),
  },
  {
    options: ["hookTimeout"],
    because: ({ fromProgram, hasCallbacks }) =>
      when(
        !hasCallbacks && !["metrics", "lrScheduler", "computeLossFunc"].some((name) => fromProgram.includes(name)),
        "no callback, metric, lrScheduler or computeLossFunc is given",
      ),
  },
  {
    options: ["saveSteps"],
    because: ({ args }) => when(args.saveStrategy !== "steps", `saveStrategy is ${args.saveStrategy}`),
  },
  { options: ["saveTotalLimit"], because: ({ args }) => when(args.saveStrategy === "no", "saveStrategy is no") },
  {
    options: ["bnb4bitBlocksize", "bnb4bitUseDoubleQuant"],
    because: ({ weights }) => when(!weights.loadIn4bit, "loadIn4bit is off"),
  },
];

/**
 * What to say of options that differ from their defaults and have no effect.
 *
 * @param schema of the trainer's arguments, for their defaults
 */
export function idleOptions(setting: OptionSetting, schema: Schemas[string]): string[] {
  const defaults = { ...modelConfigSchema.parse({}), ...schema.parse({}) };
  const values: Readonly<Record<string, unknown>> = { ...setting.weights, ...setting.args };
  return rules.flatMap(({ options, because }) => {
    const why = because(setting);
    const set = why === null ? [] : options.filter((name) => isSet(name, values, defaults));
    return set.map((name) => `${name} ${JSON.stringify(values[name])} has no effect: ${why}`);
  });
}

function isSet(name: string, values: Readonly<Record<string, unknown>>, defaults: Readonly<Record<string, unknown>>) {
  // Without a value of its own it is that of loggingSteps, under which a run records it.
  if (name === "evalSteps" && values.evalSteps === values.loggingSteps) return false;
  return JSON.stringify(values[name]) !== JSON.stringify(defaults[name]);
}
