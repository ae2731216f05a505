// A model that is known but not in memory, and the way from there to a session.
import type { Generator } from "./generator.ts";
import type { ModelOrigin } from "./model-origin.ts";
import type { Objective } from "./objective.ts";
import type { ParsedModelConfig } from "./options/model.ts";
import type { GeneratorOptions, SessionOptions } from "./options/session.ts";
import type { TrainSession } from "./session.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** What can be known of a model from its configuration, before any weight is read. */
export interface ModelInfo {
  /** Where it was loaded from. */
  path: string;
  /** Where it comes from when that is the Hugging Face Hub; what is written down names it by that. Null: by its path. */
  origin: ModelOrigin | null;
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
  /** What the user should know of the model's files, such as tensors that nothing uses. */
  warnings: string[];
}

/** The largest packed pass of a run, in tokens. */
export interface PassShape {
  /** All of its sequences together. */
  tokens: number;
  /** Its longest sequence. */
  longest: number;
  /** Its supervised tokens: what goes through the last block's second half and the head. */
  supervised: number;
  /** Whether it is trained by `forward` and `backward` in place of `accumulate`. Default false. */
  twoPhases?: boolean;
  /** What `accumulate` minimises. Default nll. */
  objective?: Objective;
  /** Whether nothing is trained by it: what a generator with the session's adapter holds. Default false. */
  forwardOnly?: boolean;
}

/** What a session would hold, in bytes. */
export interface MemoryPlan {
  /** Frozen weights. */
  weights: number;
  /** Values of the trained tensors: the adapter, or the whole model. */
  trained: number;
  /** Their gradients. */
  gradients: number;
  /** State of the optimizer. */
  optimizer: number;
  /** What a pass works in: activations, their gradients, logits. */
  activations: number;
  /** The most that is held at once. */
  peak: number;
  /** The most that is held at once while weights are read. */
  loading: number;
  /** Parameters of the base model, adapter excluded. */
  totalParameters: number;
  /** Trainable parameters. */
  trainableParameters: number;
  /** Where the session would run, and whose memory it is: `cpu` or `cuda`. */
  device: string;
  /** What the device's driver calls free; null on the CPU, whose memory is the host's. */
  free: number | null;
}

/** What of a model's tokenizer a run exchanges; null leaves it as it is. */
export interface TokenizerChanges {
  /** A Jinja file, or a tokenizer whose template and end of sequence are taken. */
  chatTemplatePath: string | null;
  /** A token of the vocabulary. Wins over that of a tokenizer at `chatTemplatePath`. */
  eosToken: string | null;
}

/** A model that is known but not yet in memory. */
export interface LanguageModel {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  /** How its sessions hold the frozen weights. */
  readonly weightOptions: Readonly<ParsedModelConfig>;
  /** Options for which nothing has to be done, as they were given. Default: none. */
  readonly takenOptions?: Readonly<Record<string, unknown>>;
  /**
   * The same model with another chat template or end of sequence, which are saved with what is trained. Absent: its tokenizer cannot be
   * changed. Rejects with `OptionError` for a path without a template, `TemplateError` or `TokenizerError` for tokens that the vocabulary
   * lacks.
   */
  withTokenizer?(changes: TokenizerChanges): Promise<LanguageModel>;
  /** Loads the weights to evaluate and generate; nothing is trained. */
  createGenerator(options?: GeneratorOptions): Promise<Generator>;
  /** Loads the weights and prepares training. */
  createSession(options: SessionOptions): Promise<TrainSession>;
  /** What `createSession` with these options would hold when passes are at most this large. No weight is read. */
  estimateMemory(options: SessionOptions, pass: PassShape): Promise<MemoryPlan>;
}
