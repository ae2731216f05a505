// A pretrained model to train or to talk to.
import { join } from "node:path";
import {
  type AdapterState,
  ArgumentError,
  type BatchGenerationConfig,
  batchGenerationConfigSchema,
  type DeviceOptions,
  deviceOptionsSchema,
  effective,
  exists,
  expandHome,
  type GenerationConfig,
  type Generator,
  type GeneratorOptions,
  generationConfigSchema,
  hubCacheFolder,
  type LanguageModel,
  type LoraConfig,
  loraConfigSchema,
  type MemoryPlan,
  type Message,
  type ModelConfig,
  type ModelInfo,
  modelConfigSchema,
  OptionError,
  type OptionKeys,
  type ParsedModelConfig,
  type PassShape,
  parseOptions,
  type SessionOptions,
  sortOptionsBeside,
  TextStream,
  type Tokenizer,
  type TokenizerChanges,
  type TrainSession,
  takenOf,
  warnProcess,
} from "@tunesmith/core";
import { type ExportControl, type LoadModelOptions, loadModel } from "@tunesmith/native";
import { Answering, type AnsweringOptions } from "./answering.ts";
import { answerBatch, type BatchGenerationOptions, type GeneratedAnswer } from "./generate-batch.ts";
import { withTokenizerFiles } from "./hub/tokenizer-files.ts";
import { type DownloadOptions, downloadKeys, isRepoId } from "./hub/wanted.ts";
import {
  noDefaults,
  type OpenedFor,
  openedFor,
  type PeftModelOptions,
  peftModelOptions,
  type RunDefaults,
} from "./notebook-names.ts";
import { encodePrompt } from "./prompt.ts";
import { describeModel, resolveModel } from "./resolve-model.ts";
import {
  type GgufFile,
  type GgufOptions,
  type MergedOptions,
  type Saved,
  saveAsIs,
  saveGguf,
  saveMerged,
} from "./save.ts";

/** Options of {@link FastLanguageModel.fromPretrained}; those of a download count for models of the hub only. */
export interface PretrainedOptions extends DownloadOptions, DeviceOptions, Omit<ModelConfig, "dtype">, OpenedFor {
  /** Storage of the frozen matrices that are not quantised (see ModelConfig). Default null: auto. */
  dtype?: ModelConfig["dtype"] | null;
  /** PEFT adapter folder that `generate` uses on top of the model. Default: none. */
  adapter?: string | undefined;
  /** With `loadIn4bit`: keep the quantised matrices in the folder `tunesmith-nf4` of the model cache for the next load. Default true. */
  quantizedCache?: boolean | undefined;
  /** Told what the user should know of the files that `generate` loads (a run says it itself). Default: `process.emitWarning`. */
  onWarning?: ((message: string) => void) | undefined;
}

/** What no schema declares of them. */
const pretrainedKeys: OptionKeys<
  Omit<PretrainedOptions, keyof DeviceOptions | keyof ModelConfig | "maxSeqLength"> & { maxLength?: number }
> = {
  ...downloadKeys,
  // The canonical name of maxSeqLength.
  maxLength: "optional number",
  fullFinetuning: "optional flag",
  adapter: "optional path",
  quantizedCache: "optional flag",
  onWarning: "optional function",
};

/** What of a tokenizer is exchanged on opening; what is absent is as the model was opened with. */
type Exchanged = Pick<LoadModelOptions, "chatTemplate" | "eosToken" | "addTokens" | "addSpecialTokens" | "tokenizerOf">;

/** As its files have it. */
const asItIs: Exchanged = {
  chatTemplate: null,
  eosToken: null,
  addTokens: [],
  addSpecialTokens: [],
  tokenizerOf: null,
};

/** Opens a model at its path, with another tokenizer where something of one is given. */
type OpenModel = (path: string, exchanged?: Exchanged) => Promise<LanguageModel>;

/** The options of a download, and what opens a model at its path. */
function sorted(
  options: PretrainedOptions,
  place: string,
): { download: DownloadOptions; openAt: (path: string) => Promise<FastLanguageModel> } {
  const schemas = { device: deviceOptionsSchema, weights: modelConfigSchema };
  const [{ device, weights }, others] = sortOptionsBeside(schemas, pretrainedKeys, options, place);
  const { adapter = null, quantizedCache = true, onWarning, maxLength, fullFinetuning, ...download } = others;
  const defaults = openedFor({ maxSeqLength: maxLength, fullFinetuning });
  const cacheDir = quantizedCache ? join(download.cacheDir ?? hubCacheFolder(), "tunesmith-nf4") : null;
  const open = (path: string, exchanged: Exchanged = {}) =>
    loadModel(path, {
      ...device,
      ...effective(modelConfigSchema, weights),
      tokenizerOf: adapter === null ? null : expandHome(adapter),
      ...exchanged,
      cacheDir,
    });
  const taken = takenOf(modelConfigSchema, weights);
  const given = Object.fromEntries(Object.entries(weights).filter(([name]) => taken.includes(name)));
  const openAt = async (path: string) =>
    new FastLanguageModel(await open(path), adapter, onWarning, open, given, defaults);
  return { download, openAt };
}

/** Options of {@link FastLanguageModel.generate}. */
export interface TextGenerationOptions extends GenerationConfig {
  /** Ends the text after the token in hand; the iterator then throws `AbortError`. */
  signal?: AbortSignal;
}

const generationKeys: OptionKeys<Omit<TextGenerationOptions, keyof GenerationConfig>> = {
  signal: "optional signal",
};

const batchKeys: OptionKeys<Omit<BatchGenerationOptions, keyof GenerationConfig | keyof BatchGenerationConfig>> = {
  onAnswer: "optional function",
  signal: "optional signal",
};

/**
 * A pretrained model: to train with an `SFTTrainer`, or to talk to. Weights are read when they are first needed. Once a run has ended
 * well, the model that was given to the trainer answers as trained, and its save methods write that.
 */
export class FastLanguageModel implements LanguageModel {
  #model: LanguageModel;
  readonly #options: AnsweringOptions;
  readonly #answering: Answering;
  readonly #open: OpenModel;
  /** With the tokenizer that was asked for last: what a run that has asked for it leaves. */
  #exchanged: LanguageModel | null = null;

  /** Wraps a model that is already known. Most programs want {@link FastLanguageModel.fromPretrained}. */
  constructor(
    model: LanguageModel,
    adapter: string | null = null,
    onWarning: (message: string) => void = warnProcess,
    open: OpenModel = (path, exchanged = {}) => loadModel(path, { ...model.weightOptions, ...exchanged }),
    /** Options for which nothing has to be done. */
    readonly takenOptions: Readonly<Record<string, unknown>> = {},
    /** @internal Options of the runs on it. */
    readonly runDefaults: RunDefaults = noDefaults,
  ) {
    this.#open = open;
    this.#model = model;
    this.#options = { model, adapter, onWarning, open: (path) => open(path, asItIs) };
    this.#answering = new Answering(this.#options);
  }

  /**
   * Opens a model folder in Hugging Face's layout, a GGUF file, or a model of the Hugging Face Hub (`ORG/NAME`), which is downloaded
   * and verified when it is not yet cached.
   */
  static async fromPretrained(modelNameOrPath: string, options: PretrainedOptions = {}): Promise<FastLanguageModel> {
    const { download, openAt } = sorted(options, "fromPretrained");
    return openAt(await resolveModel(modelNameOrPath, download));
  }

  /**
   * Gives `use` a model for questions that need no weights, such as `estimateMemory`: of a model of the Hub that is not cached only the
   * configuration and the headers of the weight files are downloaded. It can neither be trained nor talked to, and ends with `use`.
   */
  static async describe<T>(
    modelNameOrPath: string,
    options: PretrainedOptions,
    use: (model: FastLanguageModel) => Promise<T>,
  ): Promise<T> {
    const { download, openAt } = sorted(options, "describe");
    return describeModel(modelNameOrPath, download, async (path) => use(await openAt(path)));
  }

  get info(): ModelInfo {
    return this.#model.info;
  }

  get tokenizer(): Tokenizer {
    return this.#model.tokenizer;
  }

  get weightOptions(): Readonly<ParsedModelConfig> {
    return this.#model.weightOptions;
  }

  estimateMemory(options: SessionOptions, pass: PassShape): Promise<MemoryPlan> {
    return this.#model.estimateMemory(options, pass);
  }

  createGenerator(options?: GeneratorOptions): Promise<Generator> {
    return this.#model.createGenerator(options);
  }

  createSession(options: SessionOptions): Promise<TrainSession> {
    return this.#model.createSession(options);
  }

  /**
   * The same model with another chat template: the text of one, a path, or one of our own by its name (see the option `chatTemplate`).
   * Rejects with `TemplateError` where the template writes tokens that the vocabulary does not have.
   */
  async withChatTemplate(chatTemplate: string): Promise<FastLanguageModel> {
    const { adapter, onWarning } = this.#options;
    const open: OpenModel = (path, exchanged) => this.#open(path, { chatTemplate, ...exchanged });
    const model = await open(this.info.path);
    return new FastLanguageModel(model, adapter, onWarning, open, this.takenOptions, this.runDefaults);
  }

  /**
   * The same model with more tokens (transformers' `add_tokens`; with `special` its `add_special_tokens`): the next ids, after those of
   * earlier calls. An adapter trains their rows alone.
   */
  async withTokens(
    tokens: readonly string[],
    { special = false }: { special?: boolean } = {},
  ): Promise<FastLanguageModel> {
    const { adapter, onWarning } = this.#options;
    const { addTokens, addSpecialTokens } = this.weightOptions;
    if (!special && addSpecialTokens.length > 0)
      throw new OptionError(
        "[addTokens] expected tokens before special ones, whose ids would become others, got them after; add them first",
      );
    const more = special
      ? { addTokens, addSpecialTokens: [...addSpecialTokens, ...tokens] }
      : { addTokens: [...addTokens, ...tokens] };
    const open: OpenModel = (path, exchanged) => this.#open(path, { ...more, ...exchanged });
    const model = await open(this.info.path);
    return new FastLanguageModel(model, adapter, onWarning, open, this.takenOptions, this.runDefaults);
  }

  /**
   * The same model with another chat template or end of sequence, as `chatTemplatePath` and `eosToken` of a run ask for them. Once that
   * run has ended well this model answers with them.
   */
  async withTokenizer(changes: TokenizerChanges): Promise<LanguageModel> {
    const { chatTemplatePath } = changes;
    const exchange = async (path: string | null) => {
      if (this.#model.withTokenizer === undefined)
        throw new OptionError(
          "[chatTemplatePath] expected a model that was opened from files, got another; leave it out",
        );
      return this.#model.withTokenizer({ ...changes, chatTemplatePath: path });
    };
    const isHere = chatTemplatePath === null || (await exists(expandHome(chatTemplatePath)));
    const changed =
      isHere || !isRepoId(chatTemplatePath)
        ? await exchange(chatTemplatePath)
        : await withTokenizerFiles(chatTemplatePath, {}, exchange);
    this.#exchanged = changed;
    const { adapter, onWarning } = this.#options;
    return new FastLanguageModel(changed, adapter, onWarning, this.#open, this.takenOptions);
  }

  /** This model with a LoRA adapter to train (Unsloth's get_peft_model): give it to an `SFTTrainer`. */
  getPeftModel(config: PeftModelOptions = {}): PeftModel {
    const { onWarning } = this.#options;
    return new PeftModel(this.#model, config, onWarning, this.#open, this.takenOptions, this.runDefaults);
  }

  /**
   * Continues a prompt, piece of text by piece of text. A string is a user's turn where the model has a chat template, else plain
   * text to go on from. Greedy unless a temperature is given. Ends at the latest where the model's context does. A prompt that fills
   * the context, a role that there is not and options that are not known are refused before a weight is read.
   */
  async *generate(
    prompt: string | readonly Message[],
    options: TextGenerationOptions = {},
  ): AsyncGenerator<string, void, undefined> {
    const schemas = { config: generationConfigSchema };
    const [{ config }, control] = sortOptionsBeside(schemas, generationKeys, options, "generate");
    const ids = await encodePrompt(this, prompt);
    const generator = await this.#answering.generator();
    const text = new TextStream(this.tokenizer);
    const maxNewTokens = Math.min(config.maxNewTokens, this.info.maxPositionEmbeddings - ids.length);
    const tokens = generator.generate({ ...config, ...control, maxNewTokens, prompts: [ids] });
    for await (const { tokenId, finishReason } of tokens) {
      // The token that ends a turn is no text, whatever the tokenizer thinks of it.
      const piece = finishReason === "stop" ? "" : text.push(tokenId);
      if (piece !== "") yield piece;
    }
    const rest = text.end();
    if (rest !== "") yield rest;
  }

  /**
   * Answers many prompts together, `numReturnSequences` times each, and gives the answers by prompt and sample; `onAnswer` is told of each
   * as it ends. Prompts are read as by `generate`, and refused before a weight is read. Which other prompts are answered, and how many at
   * a time, changes no bit of an answer on the CPU; its random numbers are those of its place in the list.
   */
  async generateBatch(
    prompts: readonly (string | readonly Message[])[],
    options: BatchGenerationOptions = {},
  ): Promise<GeneratedAnswer[][]> {
    const schemas = { config: generationConfigSchema, batch: batchGenerationConfigSchema };
    const [sorted, given] = sortOptionsBeside(schemas, batchKeys, options, "generateBatch");
    if (!Array.isArray(prompts))
      throw new ArgumentError(`[generateBatch] expected a list of prompts, got ${typeof prompts}; give an array`);
    const ids: Int32Array[] = [];
    for (const prompt of prompts) ids.push(await encodePrompt(this, prompt));
    if (ids.length === 0) return [];
    const { onAnswer = () => {}, signal } = given;
    return answerBatch(await this.#answering.generator(), this, ids, { ...sorted, onAnswer, signal });
  }

  /**
   * Writes the adapter as a PEFT folder (Hugging Face's save_pretrained): the one this model was opened with, or that an
   * `SFTTrainer` has trained on it. A model without an adapter is written whole, in its own type.
   */
  async savePretrained(folder: string, options: ExportControl = {}): Promise<void> {
    await saveAsIs(this.#answering.saved, folder, options);
  }

  /**
   * Writes the model with its adapter merged in (Unsloth's save_pretrained_merged): sharded safetensors with everything that
   * belongs with them, tensor by tensor, off the event loop.
   */
  async savePretrainedMerged(folder: string, options: MergedOptions = {}): Promise<void> {
    await saveMerged(this.#answering.saved, folder, options);
  }

  /**
   * Writes the model with its adapter merged in as GGUF (Unsloth's save_pretrained_gguf): the file `path` where it ends in
   * `.gguf`, else one file for each type in the folder `path`.
   */
  async savePretrainedGguf(path: string, options: GgufOptions = {}): Promise<GgufFile[]> {
    return saveGguf(this.#answering.saved, path, options);
  }

  /** @internal What it answers with, as files. */
  get saved(): Saved {
    return this.#answering.saved;
  }

  /** @internal The weights that it answers with, in memory; they stay its own. */
  answering(): Promise<Generator> {
    return this.#answering.generator();
  }

  /** @internal A trainer says where its result is: from here on that is what answers and what is saved. */
  adopt(trained: Saved): void {
    if (this.#exchanged !== null) this.#model = this.#exchanged;
    this.#answering.adopt(trained, this.#model);
  }

  /**
   * Loads a PEFT adapter folder under a name of its own, in addition to the adapters that are there; {@link FastLanguageModel.setAdapter} makes
   * it the one that `generate` uses. Rejects with `ArgumentError` when the name is taken, and with `ConfigError`, `ModelFileError` or
   * `UnsupportedModelError` as the folder gives.
   */
  async loadAdapter(path: string, name: string): Promise<AdapterState> {
    return (await this.#answering.generator()).loadAdapter(path, name);
  }

  /** Makes a loaded adapter the one that `generate` uses; nothing is read again. The adapter of `fromPretrained` is named `default`. */
  async setAdapter(name: string): Promise<AdapterState> {
    return (await this.#answering.generator()).setAdapter(name);
  }

  /** Lets `generate` use the base model alone: its answers are those of a model without adapters, to the bit. */
  async disableAdapter(): Promise<AdapterState> {
    return (await this.#answering.generator()).disableAdapter();
  }

  /** Puts back the adapter that was set last. */
  async enableAdapter(): Promise<AdapterState> {
    return (await this.#answering.generator()).enableAdapter();
  }

  /** Frees a loaded adapter. */
  async deleteAdapter(name: string): Promise<AdapterState> {
    return (await this.#answering.generator()).deleteAdapter(name);
  }

  /** Names of the loaded adapters, and which one is active. */
  async adapters(): Promise<AdapterState> {
    return (await this.#answering.generator()).adapters();
  }

  /**
   * Frees the weights that `generate` has loaded, and the adapters loaded with them, once the answers that are being written are
   * written. They are loaded again when it is called again.
   */
  dispose(): Promise<void> {
    return this.#answering.dispose();
  }

  /** As {@link FastLanguageModel.dispose}: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** A model together with the adapter that an `SFTTrainer` shall train on it. */
export class PeftModel extends FastLanguageModel {
  readonly peftConfig: LoraConfig;

  constructor(
    model: LanguageModel,
    options: PeftModelOptions,
    onWarning?: (message: string) => void,
    open?: OpenModel,
    takenOptions?: Readonly<Record<string, unknown>>,
    runDefaults: RunDefaults = noDefaults,
  ) {
    const { peftConfig, defaults } = peftModelOptions(options, runDefaults);
    super(model, null, onWarning, open, takenOptions, defaults);
    parseOptions(loraConfigSchema, peftConfig);
    this.peftConfig = peftConfig;
  }
}
