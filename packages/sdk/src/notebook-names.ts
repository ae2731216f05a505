// Arguments that Unsloth's notebooks give where the model is opened or to the trainer itself: here they are options of the run.
import {
  canonicalName,
  type LanguageModel,
  type LoraConfig,
  OptionError,
  type SFTConfig,
  type Tokenizer,
} from "@tunesmith/core";

/** Arguments of Unsloth's `from_pretrained` that a run takes, unless its own options say otherwise. */
export interface OpenedFor {
  /** `maxLength` of the runs on this model (Unsloth's max_seq_length). Default: that of SFTConfig. */
  maxSeqLength?: number | undefined;
  /** Train every weight of it, without an adapter. Default false. */
  fullFinetuning?: boolean | undefined;
}

/** Options of the adapter, with those that Unsloth's `get_peft_model` has besides. */
export interface PeftModelOptions extends LoraConfig {
  /** `gradientCheckpointing` of the runs on this model; "unsloth" is true here. Default: that of SFTConfig. */
  useGradientCheckpointing?: boolean | "unsloth" | undefined;
}

/** Options of runs on a model: what a trainer takes where its own say nothing. */
export interface RunDefaults {
  args: SFTConfig;
  peft: LoraConfig;
}

/** None. */
export const noDefaults: RunDefaults = { args: {}, peft: {} };

/** What a model was opened for. */
export function openedFor({ maxSeqLength, fullFinetuning = false }: OpenedFor): RunDefaults {
  return {
    args: maxSeqLength === undefined ? {} : { maxLength: maxSeqLength },
    peft: fullFinetuning ? { fullFinetuning } : {},
  };
}

/** The options of an adapter, and what came with them for its runs. */
export function peftModelOptions(
  { useGradientCheckpointing, ...given }: PeftModelOptions,
  { args, peft }: RunDefaults,
): { peftConfig: LoraConfig; defaults: RunDefaults } {
  const peftConfig = { ...peft, ...given };
  const snake = "use_gradient_checkpointing" in peftConfig ? peftConfig.use_gradient_checkpointing : undefined;
  delete (peftConfig as Record<string, unknown>).use_gradient_checkpointing;
  const asked = useGradientCheckpointing ?? snake;
  if (asked === undefined) return { peftConfig, defaults: { args, peft } };
  if (typeof asked !== "boolean" && asked !== "unsloth")
    throw new OptionError(
      `[useGradientCheckpointing] expected true, false or "unsloth", got ${JSON.stringify(asked)}; correct it`,
    );
  return { peftConfig, defaults: { args: { ...args, gradientCheckpointing: asked !== false }, peft } };
}

/** Arguments that notebooks give to the trainer, and TRL's SFTTrainer once had. */
export interface TrainerNames {
  /** The model's own tokenizer: here a model has it. */
  tokenizer?: Tokenizer | undefined;
  /** The same, by its newer name. */
  processingClass?: Tokenizer | undefined;
  /** `datasetTextField` of args. */
  datasetTextField?: string | undefined;
  /** `maxLength` of args. */
  maxSeqLength?: number | undefined;
  /** `packing` of args. */
  packing?: boolean | undefined;
  /** `datasetNumProc` of args. */
  datasetNumProc?: number | undefined;
}

/** Names of the trainer that are options of a run. */
const optionsOfRun = ["datasetTextField", "maxSeqLength", "packing", "datasetNumProc"] as const;

/** What every trainer is made of. */
export interface RunArguments {
  model: LanguageModel;
  args?: object;
  peftConfig?: LoraConfig;
}

/** What a trainer is made of, with such arguments among its options; one that is given twice is an `OptionError`. */
export function withRunOptions<Options extends RunArguments>(
  given: Options & TrainerNames,
  defaults: RunDefaults,
): Options {
  const { tokenizer, processingClass, datasetTextField, maxSeqLength, packing, datasetNumProc, ...options } = given;
  refuseOther("tokenizer", tokenizer, given.model);
  refuseOther("processingClass", processingClass, given.model);
  const args: Record<string, unknown> = { ...options.args };
  const set = new Set(Object.keys(args).map(canonicalName));
  const moved = { datasetTextField, maxSeqLength, packing, datasetNumProc };
  for (const name of optionsOfRun) {
    if (moved[name] === undefined) continue;
    const option = canonicalName(name);
    if (set.has(option)) throw new OptionError(`[${name}] expected it once, got it in args too; leave one out`);
    args[option] = moved[name];
    set.add(option);
  }
  const open = Object.entries(defaults.args).filter(([name]) => !set.has(name));
  const merged = { ...defaults.peft, ...options.peftConfig };
  return {
    ...options,
    args: { ...Object.fromEntries(open), ...args },
    ...(Object.keys(merged).length > 0 && { peftConfig: merged }),
  } as unknown as Options;
}

function refuseOther(name: string, tokenizer: Tokenizer | undefined, model: LanguageModel): void {
  if (tokenizer === undefined || tokenizer === model?.tokenizer) return;
  throw new OptionError(
    `[${name}] expected the model's own tokenizer, got another; exchange its template with getChatTemplate, chatTemplatePath or eosToken, or leave it out`,
  );
}
