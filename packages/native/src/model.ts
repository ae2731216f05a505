// A model that is known but not in memory, over the binding.
import {
  chatTemplateText,
  type DeviceOptions,
  deviceOptionsSchema,
  type EngineOptions,
  type Generator,
  type GeneratorOptions,
  generatorOptionsSchema,
  type LanguageModel,
  loraConfigSchema,
  type MemoryPlan,
  type ModelConfig,
  type ModelInfo,
  modelConfigSchema,
  originOf,
  type ParsedModelConfig,
  type PassShape,
  parseArgument,
  type SessionOptions,
  sessionOptionsSchema,
  sftConfigSchema,
  type Tokenizer,
  type TokenizerChanges,
  type TrainSession,
  weightsSchema,
} from "@tunesmith/core";
import { objectiveJson } from "./batch.ts";
import { type Native, native, nativeAsync } from "./binding.ts";
import { boolean, integer, object, path } from "./check.ts";
import { NativeGenerator } from "./generator.ts";
import { readOtherTokenizer } from "./other-tokenizer.ts";
import { NativeSession } from "./session.ts";
import { requireTokens } from "./template-tokens.ts";
import { NativeTokenizer } from "./tokenizer.ts";

/** Where a model's sessions run, and how they hold its frozen weights. */
export interface LoadModelOptions extends DeviceOptions, ModelConfig {
  /** Folder in which 4-bit matrices are kept for the next load; made where absent. Default null: nothing is kept. */
  cacheDir?: string | null;
  /** Token of the vocabulary that ends a sequence in place of the tokenizer's own. Default null: that one. */
  eosToken?: string | null;
  /** PEFT folder whose chat template, end of sequence and tokens are taken where none is given. Default null: the model's own. */
  tokenizerOf?: string | null;
}

const loadModelSchema = weightsSchema.extend({
  ...deviceOptionsSchema.shape,
  chatTemplate: modelConfigSchema.shape.chatTemplate,
  eosToken: sftConfigSchema.shape.eosToken,
  addTokens: modelConfigSchema.shape.addTokens,
  addSpecialTokens: modelConfigSchema.shape.addSpecialTokens,
  tokenizerOf: loraConfigSchema.shape.adapterPath,
});

/** Far above what any memory holds of a pass. */
const maxTokens = 2 ** 24;

/**
 * Opens a model: a Hugging Face folder, a `.gguf` file or a folder that holds one. Reads configuration and tokenizer; weights
 * are read by `createGenerator` and `createSession`. Rejects with `ModelFileError`, `UnsupportedModelError`, `ConfigError`,
 * `TokenizerError` or `TemplateError`.
 */
export async function loadModel(source: string, options: LoadModelOptions = {}): Promise<LanguageModel> {
  const place = path("loadModel.path", source);
  const given = parseArgument(loadModelSchema, options, "loadModel");
  const {
    device,
    threads,
    chatTemplate: named,
    eosToken,
    addTokens,
    addSpecialTokens,
    tokenizerOf,
    ...weights
  } = given;
  const chatTemplate = named === null ? null : await chatTemplateText(named);
  const tokenizer = { chatTemplate, eosToken, addTokens, addSpecialTokens, tokenizerOf };
  return open(place, { place: { device, threads: threads ?? 0 }, weights, ...tokenizer });
}

/** How a model is opened. */
interface Opening {
  place: Native.Place;
  weights: EngineOptions["weights"];
  /** The text of one that is in place of the tokenizer's own. */
  chatTemplate: string | null;
  eosToken: string | null;
  addTokens: string[];
  addSpecialTokens: string[];
  /** Null: what else is null is the model's own. */
  tokenizerOf: string | null;
}

async function open(path: string, opening: Opening): Promise<NativeModel> {
  const { chatTemplate, eosToken, addTokens, addSpecialTokens, tokenizerOf } = opening;
  const given = { chatTemplate, eosToken, adapter: tokenizerOf };
  const named = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
  const inner = await nativeAsync((library) => library.openModel(path, { addTokens, addSpecialTokens, ...named }));
  const model = new NativeModel(inner, opening);
  if (chatTemplate !== null) await requireTokens(model.tokenizer);
  return model;
}

class NativeModel implements LanguageModel {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  readonly weightOptions: ParsedModelConfig;
  readonly #inner: Native.Model;
  readonly #opening: Opening;

  constructor(inner: Native.Model, opening: Opening) {
    const { cacheDir: _, ...weightOptions } = opening.weights;
    const { chatTemplate, addTokens, addSpecialTokens } = opening;
    this.weightOptions = { ...weightOptions, chatTemplate, addTokens, addSpecialTokens };
    this.#inner = inner;
    this.#opening = opening;
    const info = native(() => inner.info);
    this.info = { ...info, origin: originOf(info.path) };
    this.tokenizer = new NativeTokenizer(native(() => inner.tokenizer));
  }

  async withTokenizer({ chatTemplatePath, eosToken }: TokenizerChanges): Promise<LanguageModel> {
    const other = chatTemplatePath === null ? null : await readOtherTokenizer(chatTemplatePath);
    const own = this.#opening;
    return open(this.info.path, {
      ...own,
      chatTemplate: other?.chatTemplate ?? own.chatTemplate,
      eosToken: eosToken ?? other?.eosToken ?? own.eosToken,
    });
  }

  async createGenerator(options: GeneratorOptions = {}): Promise<Generator> {
    const { adapter } = parseArgument(generatorOptionsSchema, options, "createGenerator");
    return new NativeGenerator(await this.#open(this.#untrained(adapter)), this.info);
  }

  async createSession(options: SessionOptions): Promise<TrainSession> {
    return new NativeSession(await this.#open(this.#engineOptions("createSession", options)), this.info);
  }

  async estimateMemory(options: SessionOptions, pass: PassShape): Promise<MemoryPlan> {
    const { forwardOnly = false } = object("estimateMemory.pass", pass);
    const asked = this.#engineOptions("estimateMemory", options);
    const isUntrained = boolean("estimateMemory.pass.forwardOnly", forwardOnly);
    const json = JSON.stringify(isUntrained ? this.#untrained(asked.adapter) : asked);
    const {
      tokens,
      longest,
      supervised,
      twoPhases = false,
      objective = { type: "nll" },
    } = object("estimateMemory.pass", pass);
    const shape = {
      tokens: integer("estimateMemory.pass.tokens", tokens, 1, maxTokens),
      longest: integer("estimateMemory.pass.longest", longest, 1, tokens),
      supervised: integer("estimateMemory.pass.supervised", supervised, 1, tokens),
      twoPhases: boolean("estimateMemory.pass.twoPhases", twoPhases),
      objective: objectiveJson("estimateMemory.pass", objective),
    };
    return nativeAsync(() => this.#inner.estimateMemory(this.#opening.place, json, shape));
  }

  #untrained(adapter: EngineOptions["adapter"]): EngineOptions {
    const nothing = { optimizer: null, parameterGroups: [], gradientCheckpointing: false, seed: 0 };
    return { weights: this.#opening.weights, adapter, ...nothing };
  }

  #engineOptions(place: string, options: SessionOptions): EngineOptions {
    return { weights: this.#opening.weights, ...parseArgument(sessionOptionsSchema, options, place) };
  }

  #open(options: EngineOptions): Promise<Native.Session> {
    return nativeAsync(() => this.#inner.createSession(this.#opening.place, JSON.stringify(options)));
  }
}
