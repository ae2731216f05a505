// A model in memory that evaluates and generates: the part of door B that needs no optimizer.
import type { Batch, SequenceSums, TokenValueOptions, TokenValues } from "./batch.ts";
import type { GenerateOptions, TokenEvent } from "./generate.ts";
import type { Objective } from "./objective.ts";

/** A group of a run, as the engine has resolved it. */
export interface ParameterGroup {
  name: string;
  /** Trainable parameters in the group. */
  parameters: number;
  /** Peak learning rate. */
  rate: number;
  /** Weight decay. */
  decay: number;
}

/** Where the 4-bit matrices of a session came from. */
export interface QuantizationInfo {
  bnb4bitQuantType: "nf4";
  /** Weights that share a scale. */
  bnb4bitBlocksize: number;
  /** Whether the scales are held in eight bits. */
  bnb4bitUseDoubleQuant: boolean;
  /** Quantised matrices. */
  matrices: number;
  /** Of these, taken as they are from the model's own files. */
  fromCheckpoint: number;
  /** Of these, read from the cache. */
  fromCache: number;
  /** The cache's folder of this model, or null without a cache. */
  cacheDir: string | null;
}

/** Facts about a session, fixed at its creation. */
export interface SessionInfo {
  /** `cuda` or `cpu`. */
  backend: string;
  /** Why `device: "auto"` fell back to the CPU; null where it did not. */
  backendNote: string | null;
  threads: number;
  /**
   * Name and version of the vendor's library that computes large products, such as `cuBLASLt 13.2.1`; null where our own kernels compute
   * them all. With another one the last bits differ.
   */
  matmulLibrary: string | null;
  /** Parameters of the base model, adapter excluded. */
  totalParameters: number;
  /** Trainable parameters. */
  trainableParameters: number;
  /** In the order of an update's learning rates; empty where nothing is trained. */
  parameterGroups: ParameterGroup[];
  /** Resolved adapter: its modules, sorted. Null where the model has none. */
  adapterModules: string[] | null;
  /** 4-bit linear layers, or null where none is. */
  quantization: QuantizationInfo | null;
  /** Tokens that the model was never trained with and is not now: their rows of the embedding hold nothing, and stay so. */
  untrainedTokens: number[];
  /** What the user should know of loading the model, such as a damaged cache file that was written again. */
  warnings: string[];
}

/** The adapters of a session. */
export interface AdapterState {
  /** Names, in the order of loading; the adapter a session is made with is `default`. */
  names: string[];
  /** The one that is computed with; null: the base model alone. */
  active: string | null;
}

/** Bytes held by the engine. */
export interface MemoryUsage {
  inUse: number;
  peak: number;
}

/** A model in memory that evaluates and generates. Calls are carried out one after the other, off the event loop. */
export interface Generator extends Disposable, AsyncDisposable {
  readonly info: SessionInfo;
  /** Loss sums of one packed batch without a gradient. Default objective: the plain negative log-likelihood. */
  evaluate(batch: Batch, objective?: Objective): Promise<SequenceSums>;
  /** What the model says of every supervised token of one packed batch, without a gradient. */
  logProbs(batch: Batch, options?: TokenValueOptions): Promise<TokenValues>;
  /** Continues prompts, all of them together, with a key-value cache. Leaves the training state untouched. */
  generate(options: GenerateOptions): AsyncIterable<TokenEvent>;
  /**
   * Loads a PEFT adapter folder under a name of its own, without activating it. Rejects with `ArgumentError` when the name is taken or
   * the session trains the model itself, and with `ConfigError`, `ModelFileError` or `UnsupportedModelError` as the folder gives.
   */
  loadAdapter(dir: string, name: string): Promise<AdapterState>;
  /** Makes a loaded adapter the active one, in place of the one before; nothing is read again. */
  setAdapter(name: string): Promise<AdapterState>;
  /** Takes the active adapter out: what remains is the base model, to the bit. Only the trained adapter can be accumulated into. */
  disableAdapter(): Promise<AdapterState>;
  /** Puts back the adapter that was set last. */
  enableAdapter(): Promise<AdapterState>;
  /** Frees an adapter that is not trained. */
  deleteAdapter(name: string): Promise<AdapterState>;
  /** What is loaded and active once the calls before this one are done. */
  adapters(): Promise<AdapterState>;
  memory(): MemoryUsage;
  /** Frees the engine's memory at once: the call in progress stops, it and further ones reject with `DisposedError`. */
  dispose(): void;
  /** The same once the calls in progress are done. */
  [Symbol.asyncDispose](): Promise<void>;
}
