// Door B: models, training sessions and their options, as interfaces.
import type { Batch, RowSums } from "./batch.ts";
import type { GenerateOptions, TokenEvent } from "./generate.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** What is minimised over the supervised tokens. */
export type Objective = { type: "nll" };

/** LoRA adapter to train (names and meaning of PEFT's LoraConfig). */
export interface LoraOptions {
  /** Rank. */
  r: number;
  /** Scale numerator: s = loraAlpha / r, or loraAlpha / √r with `useRslora`. */
  loraAlpha: number;
  /**
   * `"all-linear"` (every linear layer but the head), names of modules or their endings at a dot such as `q_proj`, or a string: a
   * regular expression that whole names must match.
   */
  targetModules: "all-linear" | (string & {}) | readonly string[];
  /** Rank-stabilised scale (arXiv:2312.03732). */
  useRslora: boolean;
  /** Share of an adapted layer's input that A does not see in training, from 0 to below 1. Default 0. */
  loraDropout?: number;
  /** Weight-decomposed adapter (DoRA, arXiv:2402.09353). Default false. */
  useDora?: boolean;
  /** Modules that are not adapted though targeted: names or endings, or a regular expression of whole names. Default: none. */
  excludeModules?: string | readonly string[] | null;
  /** Modules trained whole and saved with the adapter: every name that ends in one of these, such as `lm_head`. Default: none. */
  modulesToSave?: readonly string[] | null;
  /** Ranks of modules whose names end as a regular expression says; the first that matches counts. Default: none. */
  rankPattern?: Readonly<Record<string, number>>;
  /** Values of `loraAlpha`, likewise. Default: none. */
  alphaPattern?: Readonly<Record<string, number>>;
  /** Layers that are adapted, from 0. Default: all. */
  layersToTransform?: readonly number[] | null;
  /** Names of the lists that layers are counted in, such as `layers`. Default: the first list in a name. */
  layersPattern?: readonly string[] | null;
  /** First values: true (A uniform, B zero), `"gaussian"` (A normal, B zero) or false (A and B uniform). Default true. */
  initLoraWeights?: boolean | "gaussian";
}

/** AdamW constants (names of Hugging Face's TrainingArguments). */
export interface OptimizerOptions {
  adamBeta1: number;
  adamBeta2: number;
  adamEpsilon: number;
  /** Decoupled; norms and biases are exempt. */
  weightDecay: number;
}

/** What a training session is made of. */
export interface SessionOptions {
  /** A new LoRA adapter, a PEFT adapter folder to continue, or null for full fine-tuning. */
  adapter: LoraOptions | { path: string } | null;
  /** Null: nothing is trained; the session evaluates and generates. `adapter: null` is then the base model alone. */
  optimizer: OptimizerOptions | null;
  /** Recompute layers in backward instead of keeping their activations. */
  gradientCheckpointing: boolean;
  /** Seeds the adapter's initial values. */
  seed: number;
}

/** One group of trained tensors that share a learning rate and a weight decay. */
export interface ParameterGroup {
  name: string;
  weightDecay: number;
  /** Trained numbers in the group. */
  parameters: number;
}

/** How a model's frozen weights are held (names of transformers' `from_pretrained` and `BitsAndBytesConfig`). */
export interface WeightOptions {
  /**
   * Matrices that are not quantised; `"auto"`: bfloat16 beside 4-bit layers and on a GPU, else float32. On a GPU also what is computed
   * in; the CPU computes in float32.
   */
  dtype: "auto" | "float32" | "bfloat16";
  /** Hold the linear layers as NF4. */
  loadIn4bit: boolean;
  /** The only type there is. */
  bnb4bitQuantType: "nf4";
  /** Hold the scales of the blocks in eight bits. */
  bnb4bitUseDoubleQuant: boolean;
  /** Weights that share a scale: a power of two from 64 to 4096. */
  bnb4bitBlocksize: number;
}

/** The weights as they are stored. */
export const defaultWeightOptions: Readonly<WeightOptions> = {
  dtype: "auto",
  loadIn4bit: false,
  bnb4bitQuantType: "nf4",
  bnb4bitUseDoubleQuant: true,
  bnb4bitBlocksize: 64,
};

/** Where the 4-bit matrices of a session came from. */
export interface QuantizationInfo {
  quantType: "nf4";
  blockSize: number;
  doubleQuant: boolean;
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
  /** Numbers in the model, adapter not counted. */
  totalParameters: number;
  /** Numbers that are trained. */
  trainableParameters: number;
  parameterGroups: ParameterGroup[];
  /** Resolved adapter: its modules, sorted. Null for full fine-tuning. */
  adapterModules: string[] | null;
  /** 4-bit linear layers, or null where none is. */
  quantization: QuantizationInfo | null;
  /** What the user should know of loading the model, such as a damaged cache file that was made anew. */
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

/** Door B: batches go in and sums come back. Calls are carried out one after the other, off the event loop. */
export interface TrainSession {
  readonly info: SessionInfo;
  /**
   * Forward and backward of one packed batch; the gradient is added to what is there, as a sum, never a mean. `seed`, `step` and the
   * batch's `rowIds` key the dropout of an adapter, so that no mask depends on how rows are packed into batches.
   */
  accumulate(batch: Batch, options: { objective: Objective; step: number; seed: number }): Promise<RowSums>;
  /**
   * Divides the summed gradient by `denominator`, clips by global norm, takes one AdamW step and clears the gradient.
   * `learningRates`: one per parameter group. `gradNorm` is the norm before clipping. A gradient that is not finite leaves
   * every weight and moment untouched and gives `applied: false`.
   */
  update(options: {
    learningRates: Float64Array;
    maxGradNorm: number | null;
    denominator: number;
  }): Promise<{ gradNorm: number; applied: boolean }>;
  /** Loss of one packed batch without a gradient. */
  evaluate(batch: Batch): Promise<RowSums>;
  /** Continues prompts, all of them together, with a key-value cache. Leaves the training state untouched. */
  generate(options: GenerateOptions): AsyncIterable<TokenEvent>;
  /** Writes adapter or model, and optimizer state, into an existing folder (see `checkpoint` in the trainer). */
  saveCheckpoint(dir: string): Promise<void>;
  /** Reads what `saveCheckpoint` wrote. A mismatch leaves the session as it was. */
  loadCheckpoint(dir: string): Promise<void>;
  /** Writes a PEFT adapter folder, or `model.safetensors` after full fine-tuning. */
  saveAdapter(dir: string): Promise<void>;
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
  /** Frees the engine's memory at once. Further calls reject with `DisposedError`. */
  dispose(): void;
}

/** What can be known of a model from its configuration, before any weight is read. */
export interface ModelInfo {
  /** Where it was loaded from. */
  path: string;
  /** Model family, as `model_type` in config.json. */
  modelType: string;
  vocabSize: number;
  hiddenSize: number;
  numHiddenLayers: number;
  /** Longest sequence the model was made for, in tokens. */
  maxPositionEmbeddings: number;
  /** Tokens that end a generation. */
  eosTokenIds: number[];
  /** Bytes of the weights as stored. */
  weightBytes: number;
}

/** The largest packed pass of a run, in tokens. */
export interface PassShape {
  /** All of its sequences together. */
  tokens: number;
  /** Its longest sequence. */
  longest: number;
}

/** What a session would hold, in bytes. */
export interface MemoryPlan {
  /** Frozen weights. */
  weights: number;
  /** Values of the trained tensors: the adapter, or the whole model. */
  trained: number;
  /** Their gradients. */
  gradients: number;
  /** The optimizer's two moments. */
  optimizer: number;
  /** What a pass works in: activations, their gradients, logits. */
  activations: number;
  /** The most that is held at once. */
  peak: number;
  /** The most that is held at once while weights are read. */
  loading: number;
  /** Numbers in the model, adapter not counted. */
  totalParameters: number;
  /** Numbers that are trained. */
  trainableParameters: number;
  /** Where the session would run, and whose memory it is: `cpu` or `cuda`. */
  device: string;
  /** What the device's driver calls free; null on the CPU, whose memory is the host's. */
  free: number | null;
}

/** A model that is known but not yet in memory. */
export interface LanguageModel {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  /** How its sessions hold the frozen weights. */
  readonly weightOptions: Readonly<WeightOptions>;
  /** Loads the weights and prepares training and generation. */
  createSession(options: SessionOptions): Promise<TrainSession>;
  /** What `createSession` with these options would hold when passes are at most this large. No weight is read. */
  estimateMemory(options: SessionOptions, pass: PassShape): Promise<MemoryPlan>;
}
