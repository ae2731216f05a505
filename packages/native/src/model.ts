// A model that is known but not in memory, over the binding.
import {
  type DeviceOptions,
  deviceOptionsSchema,
  type EngineOptions,
  type Generator,
  type GeneratorOptions,
  generatorOptionsSchema,
  type LanguageModel,
  type MemoryPlan,
  type ModelConfig,
  type ModelInfo,
  type ParsedModelConfig,
  type PassShape,
  parseArgument,
  type SessionOptions,
  sessionOptionsSchema,
  type Tokenizer,
  type TrainSession,
  weightsSchema,
} from "@tunesmith/core";
import { type Native, native, nativeAsync } from "./binding.ts";
import { integer, object, path } from "./check.ts";
import { NativeGenerator } from "./generator.ts";
import { NativeSession } from "./session.ts";
import { nativeOptions } from "./session-options.ts";
import { NativeTokenizer } from "./tokenizer.ts";

/** Where a model's sessions run, and how they hold its frozen weights. */
export interface LoadModelOptions extends DeviceOptions, ModelConfig {
  /** Folder in which 4-bit matrices are kept for the next load; made where absent. Default null: nothing is kept. */
  cacheDir?: string | null;
}

const loadModelSchema = weightsSchema.extend(deviceOptionsSchema.shape);

/** Far above what any memory holds of a pass. */
const maxTokens = 2 ** 24;

/**
 * Opens a model: a Hugging Face folder, a `.gguf` file or a folder that holds one. Reads configuration and tokenizer; weights
 * are read by `createGenerator` and `createSession`. Rejects with `ModelFileError`, `UnsupportedModelError`, `ConfigError`,
 * `TokenizerError` or `TemplateError`.
 */
export async function loadModel(source: string, options: LoadModelOptions = {}): Promise<LanguageModel> {
  path("loadModel.path", source);
  const { device, threads, ...weights } = parseArgument(loadModelSchema, options, "loadModel");
  const inner = await nativeAsync((library) => library.openModel(source));
  return new NativeModel(inner, { device, threads: threads ?? 0 }, weights);
}

/** Where the sessions of a model compute. */
type Place = Pick<Native.SessionOptions, "device" | "threads">;

class NativeModel implements LanguageModel {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  readonly weightOptions: ParsedModelConfig;
  readonly #inner: Native.Model;
  readonly #place: Place;
  readonly #weights: EngineOptions["weights"];

  constructor(inner: Native.Model, place: Place, weights: EngineOptions["weights"]) {
    const { cacheDir: _, ...weightOptions } = weights;
    this.weightOptions = weightOptions;
    this.#inner = inner;
    this.#place = place;
    this.#weights = weights;
    this.info = native(() => inner.info);
    this.tokenizer = new NativeTokenizer(native(() => inner.tokenizer));
  }

  async createGenerator(options: GeneratorOptions = {}): Promise<Generator> {
    const { adapter } = parseArgument(generatorOptionsSchema, options, "createGenerator");
    const untrained = { optimizer: null, parameterGroups: [], gradientCheckpointing: false, seed: 0 };
    const checked = this.#nativeOptions({ weights: this.#weights, adapter, ...untrained });
    return new NativeGenerator(await nativeAsync(() => this.#inner.createSession(checked)), this.info);
  }

  async createSession(options: SessionOptions): Promise<TrainSession> {
    const checked = this.#engineOptions("createSession", options);
    const native = this.#nativeOptions(checked);
    const inner = await nativeAsync(() => this.#inner.createSession(native));
    return new NativeSession(inner, this.info, checked.parameterGroups);
  }

  async estimateMemory(options: SessionOptions, pass: PassShape): Promise<MemoryPlan> {
    const checked = this.#nativeOptions(this.#engineOptions("estimateMemory", options));
    const { tokens, longest, supervised } = object("estimateMemory.pass", pass);
    integer("estimateMemory.pass.tokens", tokens, 1, maxTokens);
    integer("estimateMemory.pass.longest", longest, 1, tokens);
    integer("estimateMemory.pass.supervised", supervised, 1, tokens);
    return nativeAsync(() => this.#inner.estimateMemory(checked, tokens, longest));
  }

  #engineOptions(place: string, options: SessionOptions): EngineOptions {
    return { weights: this.#weights, ...parseArgument(sessionOptionsSchema, options, place) };
  }

  #nativeOptions(options: EngineOptions): Native.SessionOptions {
    return { ...this.#place, ...nativeOptions(options) };
  }
}
