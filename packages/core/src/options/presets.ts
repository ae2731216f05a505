// Recipes of others by name: the options that they set, each with where its value comes from.
import { OptionError } from "../errors.ts";
import { nearestName } from "./names.ts";

/** Names of the presets. */
export const presetNames = ["instructGptSft", "unslothNotebook", "trlSft", "qlora8b"] as const;

/** Name of a preset. */
export type PresetName = (typeof presetNames)[number];

/** What a preset sets one option to. */
export interface PresetValue {
  option: string;
  value: unknown;
  /** Where the value comes from. */
  source: string;
}

/** What is known of a model before its weights are read. */
export interface PresetModel {
  hiddenSize: number;
  numHiddenLayers: number;
  vocabSize: number;
  maxPositionEmbeddings: number;
}

/** A recipe of others. */
export interface Preset {
  name: PresetName;
  /** In a line. */
  title: string;
  /** Its values; for some the size of the model decides, which is null where no model is known yet. */
  values(model: PresetModel | null): PresetValue[];
}

/** Values of one source. */
function from(source: string, values: Readonly<Record<string, unknown>>): PresetValue[] {
  return Object.entries(values).map(([option, value]) => ({ option, value, source }));
}

/**
 * Parameters of a decoder by its sizes, embeddings included: 12 · layers · hidden² in its blocks (Kaplan et al. 2020). Good to a factor of
 * two, which is what choosing between sizes needs.
 */
function roughParameters({ hiddenSize, numHiddenLayers, vocabSize }: PresetModel): number {
  return 12 * numHiddenLayers * hiddenSize ** 2 + vocabSize * hiddenSize;
}

/** InstructGPT was trained at 1.3, 6 and 175 billion parameters; the middle of the last two on a scale of ratios. */
const largeModel = Math.sqrt(6e9 * 175e9);

const instructGpt = "InstructGPT (arXiv:2203.02155), appendix C.1";

function instructGptValues(model: PresetModel | null): PresetValue[] {
  const isLarge = model !== null && roughParameters(model) > largeModel;
  const size = isLarge ? "175B" : "1.3B and 6B";
  const context = model?.maxPositionEmbeddings ?? 2048;
  const tokens = Math.min(2048, context);
  const ofContext = tokens < 2048 ? `, cut to the model's context of ${context}` : "";
  return [
    ...from(instructGpt, {
      fullFinetuning: true,
      numTrainEpochs: 16,
      lrSchedulerType: "cosine_with_min_lr",
      lrSchedulerKwargs: { min_lr_rate: 0.1 },
      warmupSteps: 0,
      residPdrop: 0.2,
      adamBeta1: 0.9,
      adamBeta2: 0.95,
    }),
    ...from(`${instructGpt}: ${size}`, {
      learningRate: isLarge ? 5.03e-6 : 9.65e-6,
      perDeviceTrainBatchSize: isLarge ? 8 : 32,
      gradientAccumulationSteps: 1,
    }),
    ...from(`${instructGpt}: a context of 2k tokens${ofContext}`, { maxLength: tokens, truncationMode: "drop" }),
    ...from(`${instructGpt}: prompts and responses of 1k tokens at most${ofContext}`, {
      maxPromptLength: tokens / 2,
      maxCompletionLength: tokens / 2,
    }),
  ];
}

const unsloth = "Unsloth's notebooks";
const trl = "TRL 1.16 SFTConfig";
const arguments_ = "transformers 5.24 TrainingArguments";
const qlora = "QLoRA (arXiv:2305.14314), appendix B";

/** Presets by name. */
const presets: Readonly<Record<PresetName, Omit<Preset, "name">>> = {
  instructGptSft: {
    title: "supervised fine-tuning of InstructGPT: many passes, high dropout, every weight",
    values: instructGptValues,
  },
  unslothNotebook: {
    title: "Unsloth's notebooks: a QLoRA adapter, sixty steps",
    values: () =>
      from(unsloth, {
        loadIn4bit: true,
        maxLength: 2048,
        r: 16,
        loraAlpha: 16,
        loraDropout: 0,
        bias: "none",
        targetModules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        randomState: 3407,
        gradientCheckpointing: true,
        perDeviceTrainBatchSize: 2,
        gradientAccumulationSteps: 4,
        warmupSteps: 5,
        maxSteps: 60,
        learningRate: 2e-4,
        optim: "adamw_8bit",
        weightDecay: 0.001,
        lrSchedulerType: "linear",
        loggingSteps: 1,
        seed: 3407,
      }),
  },
  trlSft: {
    title: "trl sft with its defaults: every weight",
    values: () => [
      ...from("TRL 1.16 trl sft without --use_peft", { fullFinetuning: true }),
      ...from(trl, {
        learningRate: 2e-5,
        maxLength: 1024,
        truncationMode: "keep_start",
        packing: false,
        assistantOnlyLoss: false,
        gradientCheckpointing: true,
        loggingSteps: 10,
      }),
      ...from(arguments_, {
        numTrainEpochs: 3,
        perDeviceTrainBatchSize: 8,
        gradientAccumulationSteps: 1,
        lrSchedulerType: "linear",
        warmupSteps: 0,
        weightDecay: 0,
        adamBeta1: 0.9,
        adamBeta2: 0.999,
        adamEpsilon: 1e-8,
        maxGradNorm: 1,
        saveSteps: 500,
        seed: 42,
      }),
    ],
  },
  qlora8b: {
    title: "QLoRA as its paper trains models of 7 to 13 billion parameters",
    values: () => [
      ...from(qlora, {
        loadIn4bit: true,
        bnb4bitQuantType: "nf4",
        bnb4bitUseDoubleQuant: true,
        r: 64,
        loraAlpha: 16,
        loraDropout: 0.1,
        targetModules: "all-linear",
        learningRate: 2e-4,
        lrSchedulerType: "constant",
        adamBeta2: 0.999,
        maxGradNorm: 0.3,
        trainSamplingStrategy: "group_by_length",
      }),
      ...from(`${qlora}: a batch of 16`, { perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 16 }),
      ...from("qlora.py, the paper's program", { gradientCheckpointing: true, weightDecay: 0 }),
      ...from(`${qlora}: 1875 steps of 16 on the 9,846 rows of OASST1`, { numTrainEpochs: 3 }),
    ],
  },
};

/** The preset of a name. One that is not known is an `OptionError` with the nearest name. */
export function presetNamed(name: string): Preset {
  const found = presetNames.find((known) => known === name);
  if (found !== undefined) return { name: found, ...presets[found] };
  const nearest = nearestName(name, presetNames);
  const hint = nearest === null ? "choose one" : `did you mean "${nearest}"?`;
  throw new OptionError(`[preset] expected one of ${presetNames.join(", ")}, got ${JSON.stringify(name)}; ${hint}`);
}

/** Options that say the same in two ways: where one is given, a preset's value of the other says nothing. */
const instead: Readonly<Record<string, readonly string[]>> = {
  maxSteps: ["numTrainEpochs"],
  numTrainEpochs: ["maxSteps"],
  lrSchedulerKwargs: ["lrSchedulerType"],
};

/** A value of a preset next to what was given. */
export interface AppliedPresetValue extends PresetValue {
  /** The option that was given in its place; null where the preset's value holds. */
  replacedBy: string | null;
}

/**
 * The values of a preset, and which of them hold: those whose options are not among the given ones.
 *
 * @param given options under their own names; what is undefined is not given
 */
export function presetValues(
  preset: Preset,
  given: Readonly<Record<string, unknown>>,
  model: PresetModel | null,
): AppliedPresetValue[] {
  const isGiven = (option: string) => given[option] !== undefined;
  return preset.values(model).map((entry) => {
    const replacedBy = [entry.option, ...(instead[entry.option] ?? [])].find(isGiven) ?? null;
    return { ...entry, replacedBy };
  });
}

/** Options that hold of a preset, of those with these names. */
export function presetOptions(
  applied: readonly AppliedPresetValue[],
  names: readonly string[],
): Record<string, unknown> {
  const holds = applied.filter(({ option, replacedBy }) => replacedBy === null && names.includes(option));
  return Object.fromEntries(holds.map(({ option, value }) => [option, value]));
}
