// A model that is known but not in memory, over the binding.
import type {
  LanguageModel,
  MemoryPlan,
  ModelInfo,
  PassShape,
  SessionOptions,
  Tokenizer,
  TrainSession,
  WeightOptions,
} from "@tunesmith/core";
import { type Native, native, nativeAsync } from "./binding.ts";
import { integer, object, path, refuse } from "./check.ts";
import { NativeSession } from "./session.ts";
import { sessionOptions } from "./session-options.ts";
import { NativeTokenizer } from "./tokenizer.ts";
import { checkedWeightOptions, type NativeWeights, nativeWeights } from "./weight-options.ts";

/** Where a model's sessions run, and how they hold its frozen weights: the defaults are those of `defaultWeightOptions`. */
export interface LoadModelOptions extends Partial<WeightOptions> {
  /** `"auto"` takes CUDA where it can be used, else the CPU; the session says why. Default `"auto"`. */
  device?: "cuda" | "cpu" | "auto";
  /** Threads of each session, from 1 to 1024. Default: as many as the process may use at once. */
  threads?: number;
  /** Folder in which 4-bit matrices are kept for the next load; made where absent. Default null: nothing is kept. */
  quantizedCacheDir?: string | null;
}

/** Far above any machine; a number beyond it is a mistake and would only exhaust the system. */
const maxThreads = 1024;

/** Far above what any memory holds of a pass. */
const maxTokens = 2 ** 24;

/**
 * Opens a model: a Hugging Face folder, a `.gguf` file or a folder that holds one. Reads configuration and tokenizer; weights
 * are read by `createSession`. Rejects with `ModelFileError`, `UnsupportedModelError`, `ConfigError`, `TokenizerError` or
 * `TemplateError`.
 */
export async function loadModel(source: string, options: LoadModelOptions = {}): Promise<LanguageModel> {
  path("loadModel.path", source);
  const { device = "auto", threads, quantizedCacheDir = null, ...weights } = object("loadModel.options", options);
  if (!["cuda", "cpu", "auto"].includes(device)) refuse("loadModel.device", '"cuda", "cpu" or "auto"', device);
  const place = { device, threads: threads === undefined ? 0 : integer("loadModel.threads", threads, 1, maxThreads) };
  const weightOptions = checkedWeightOptions(weights);
  const held = nativeWeights(weightOptions, quantizedCacheDir);
  return new NativeModel(
    await nativeAsync((library) => library.openModel(source)),
    { ...place, ...held },
    weightOptions,
  );
}

/** What the binding is told of every session of a model. */
type Place = { device: string; threads: number } & NativeWeights;

class NativeModel implements LanguageModel {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  readonly #inner: Native.Model;
  readonly weightOptions: WeightOptions;
  readonly #place: Place;

  constructor(inner: Native.Model, place: Place, weightOptions: WeightOptions) {
    this.weightOptions = weightOptions;
    this.#inner = inner;
    this.#place = place;
    this.info = native(() => inner.info);
    this.tokenizer = new NativeTokenizer(native(() => inner.tokenizer));
  }

  async estimateMemory(options: SessionOptions, pass: PassShape): Promise<MemoryPlan> {
    const checked = { ...this.#place, ...sessionOptions(options) };
    const { tokens, longest } = object("estimateMemory.pass", pass);
    const most = integer("estimateMemory.pass.tokens", tokens, 1, maxTokens);
    const row = integer("estimateMemory.pass.longest", longest, 1, most);
    return nativeAsync(() => this.#inner.estimateMemory(checked, most, row));
  }

  async createSession(options: SessionOptions): Promise<TrainSession> {
    const checked = { ...this.#place, ...sessionOptions(options) };
    const session = await nativeAsync(() => this.#inner.createSession(checked));
    return new NativeSession(session, this.info);
  }
}
