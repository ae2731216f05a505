// The options of schemas as types; written by `npm run generate`.
import type { LoraConfigNames, ModelConfigNames } from "./field/types.ts";

/** The adapter (names of PEFT's LoraConfig; `fullFinetuning` is Unsloth's full_finetuning). */
export interface LoraConfig extends LoraConfigNames {
  /** Rank of the adapter. Default 16 (Unsloth). */
  r?: number | undefined;
  /** Scale numerator: the adapter is scaled by loraAlpha / r. Default 16 (Unsloth). */
  loraAlpha?: number | undefined;
  /**
   * Layers with an adapter: "all-linear" (all linear ones but the head), names or their endings such as q_proj, lm_head
   * or embed_tokens, or a regular expression of whole names. Default all-linear (QLoRA, arXiv:2305.14314).
   */
  targetModules?: "all-linear" | (string & {}) | string[] | undefined;
  /**
   * Matrices of experts with an adapter, which are parameters and no layers: names or their endings, such as
   * mlp.experts.gate_up_proj, mlp.experts.down_proj. targetModules [] leaves the layers out; not with loraDropout,
   * loraBias, useDora. Default null (PEFT).
   */
  targetParameters?: string[] | null | undefined;
  /** Layers without an adapter though targeted: names, endings or a regular expression. Default null (PEFT). */
  excludeModules?: string | string[] | null | undefined;
  /** Dropout probability on the adapter's input; none on embed_tokens. Default 0 (PEFT, Unsloth). */
  loraDropout?: number | undefined;
  /** Biases of the model that are trained: lora_only means those of layers with an adapter. Default none (PEFT). */
  bias?: "none" | "all" | "lora_only" | undefined;
  /** Give B a bias, scaled as the adapter is; only where layers have biases can it be merged. Default false (PEFT). */
  loraBias?: boolean | undefined;
  /** Scale by loraAlpha / √r (arXiv:2312.03732). Default false (PEFT). */
  useRslora?: boolean | undefined;
  /**
   * Train the lengths of the weight's rows as well (DoRA, arXiv:2402.09353); not with embed_tokens. Default false
   * (PEFT).
   */
  useDora?: boolean | undefined;
  /** Modules that are fully trained and saved with the adapter, such as embed_tokens, lm_head. Default null (PEFT). */
  modulesToSave?: string | string[] | null | undefined;
  /**
   * Tokens whose rows of embed_tokens are trained while all others stay; lists by module where lm_head has rows of its
   * own. A head that is tied to the embedding has its rows. Default null (PEFT).
   */
  trainableTokenIndices?: number[] | Record<string, number[]> | null | undefined;
  /**
   * Where the head is the embedding: let what is asked for one of them hold for both, so that they stay one matrix.
   * Default false (PEFT).
   */
  ensureWeightTying?: boolean | undefined;
  /** Other ranks, by regular expressions on the ends of names, such as up_proj. Default: none (PEFT). */
  rankPattern?: Record<string, number> | undefined;
  /** Other values of loraAlpha, by regular expressions on the ends of names. Default: none (PEFT). */
  alphaPattern?: Record<string, number> | undefined;
  /** Layers with an adapter, counted from 0; null is all. Default null (PEFT). */
  layersToTransform?: number | number[] | null | undefined;
  /** Names of the lists that layersToTransform counts in. Default null: the first list (PEFT). */
  layersPattern?: string | string[] | null | undefined;
  /**
   * First values: true (A uniform, B zero), gaussian (A normal, B zero), false (both uniform), orthogonal (B·A zero
   * though neither is; even r), pissa (largest singular values, arXiv:2404.02948; pissa_niter_16 by 16 iterations, much
   * faster), olora (QR, arXiv:2406.01775) or loftq (what quantising to four bits loses, arXiv:2310.08659); the last
   * four leave another base, see docs/adapters.md. On embed_tokens A zero and B normal, or with false both normal.
   * Default true (PEFT).
   */
  initLoraWeights?: boolean | "gaussian" | "orthogonal" | "pissa" | "olora" | "loftq" | (string & {}) | undefined;
  /**
   * With initLoraWeights loftq: loftqBits, of which 4 (NF4 in blocks of 64) is the only one, and loftqIter, how often
   * quantising and taking singular values alternate. Default {}: four bits, once (PEFT).
   */
  loftqConfig?: Record<string, number> | null | undefined;
  /** Seed of the adapter's first values. Default null: seed (Unsloth's random_state is 3407, as seed is). */
  randomState?: number | null | undefined;
  /** Train every weight, without an adapter. Default false (Unsloth). */
  fullFinetuning?: boolean | undefined;
  /** Continue this PEFT adapter folder in place of a new adapter. Default null. */
  adapterPath?: string | null | undefined;
}

/**
 * How a model's frozen weights are held (names of transformers' from_pretrained and BitsAndBytesConfig). A checkpoint
 * that is already quantised is loaded as it is, whatever these say.
 */
export interface ModelConfig extends ModelConfigNames {
  /**
   * Chat template in place of the tokenizer's own, for base models without one: the text of a Jinja template, the path
   * of one, or one of chatml, llama3, qwen, gemma, mistral, phi. Saved with what is trained. Default null: the
   * tokenizer's own (TRL's chat_template_path).
   */
  chatTemplate?: string | null | undefined;
  /**
   * Tokens that the tokenizer gets besides its own, in this order: the next ids, so that ids it had stay what they
   * were. Their rows begin as the mean of the others (transformers' mean_resizing); an adapter trains these rows alone,
   * those of a head of its own too. Saved with what is trained. Default: none (tokenizer.add_tokens).
   */
  addTokens?: string[] | undefined;
  /**
   * The same for special tokens, after addTokens: they are left out of answers' text, and a chat template may write
   * them, such as <|im_start|>, <|im_end|> for chatml on a base model. Default: none (tokenizer.add_special_tokens).
   */
  addSpecialTokens?: string[] | undefined;
  /**
   * Storage of the frozen matrices that are not quantised; on a GPU also what is computed in, while the CPU computes in
   * float32 whatever it is. Default auto: bfloat16 on a GPU and with 4-bit layers, else float32.
   */
  dtype?: "auto" | "float32" | "bfloat16" | undefined;
  /**
   * Hold the linear layers in four bits (QLoRA, arXiv:2305.14314): an eighth of the memory, and only an adapter can be
   * trained. Default false (transformers).
   */
  loadIn4bit?: boolean | undefined;
  /** Four-bit type: NormalFloat 4. Default nf4 (QLoRA; BitsAndBytesConfig has fp4). */
  bnb4bitQuantType?: "nf4" | undefined;
  /** Hold the scales of the blocks in eight bits. Default true (QLoRA; BitsAndBytesConfig has false). */
  bnb4bitUseDoubleQuant?: boolean | undefined;
  /** Weights that share a scale: 64, 128, 256, 512, 1024, 2048 or 4096. Default 64 (bitsandbytes). */
  bnb4bitBlocksize?: 64 | 128 | 256 | 512 | 1024 | 2048 | 4096 | undefined;
}

/** Where a model computes. */
export interface DeviceOptions {
  /** Where to compute. Default auto: the best there is. */
  device?: "auto" | "cuda" | "cpu" | undefined;
  /** CPU threads; results do not depend on it. Default: the physical cores. */
  threads?: number | null | undefined;
}

/** How text is written (names and order of application of Hugging Face's GenerationConfig). */
export interface GenerationConfig {
  /** Tokens to write at most. Default 256. */
  maxNewTokens?: number | undefined;
  /** 0 is greedy: the likeliest token, the lowest id on a tie. Default 0. */
  temperature?: number | undefined;
  /** Sample from the k likeliest tokens; 0 is all of them. Default 0. */
  topK?: number | undefined;
  /** Sample from the likeliest tokens of this total probability. Default 1 (GenerationConfig). */
  topP?: number | undefined;
  /** Drop tokens less likely than this times the likeliest. Default 0. */
  minP?: number | undefined;
  /**
   * Divides positive and multiplies negative logits of tokens that are there already; above 1 avoids them. Default 1
   * (GenerationConfig).
   */
  repetitionPenalty?: number | undefined;
  /** Seed of sampling: same seed, same prompts, same text, whatever the batch. Default 0. */
  seed?: number | undefined;
  /** Tokens that end the text. Default: the model's (eos_token_id). */
  stopTokenIds?: number[] | null | undefined;
}

/** How many answers are written, and how many at a time. */
export interface RolloutConfig {
  /** Answers to each prompt; the first is what one alone would be. Default 1 (GenerationConfig). */
  numReturnSequences?: number | undefined;
  /**
   * Keep the log-probability of every token, in nats, at the sampling temperature (1 where that is 0) and before topK,
   * topP, minP and repetitionPenalty. Default false.
   */
  logProbs?: boolean | undefined;
  /**
   * Answers written at a time (vLLM's max_num_seqs); the next one starts where one ends. Default 32, or as many as 1
   * GiB holds the keys and values of.
   */
  maxNumSeqs?: number | null | undefined;
}

/** How many answers are written, how many at a time, and what ends them. */
export interface BatchGenerationConfig extends RolloutConfig {
  /**
   * Texts that end an answer, which holds what stands before the first of them. Default null: none (GenerationConfig).
   */
  stopStrings?: string[] | null | undefined;
}

/** What is measured of a model on held-out rows, and how sure the numbers are. */
export interface EvaluationConfig {
  /** Column of the rows by whose values there is a table each. Default null: none. */
  groupBy?: string | null | undefined;
  /**
   * Whether the model answers the prompts of the rows. Without answers there is no exactMatch, no rougeL and no metric
   * of one's own. Default true.
   */
  generateAnswers?: boolean | undefined;
  /** Share of the resamples that an interval covers. Default 0.95. */
  confidence?: number | undefined;
  /** Sets of rows that are drawn for an interval (paired bootstrap). Default 1000 (Koehn 2004 takes as many). */
  resamples?: number | undefined;
}

/** How rows are made of seed tasks (defaults as in the code of Self-Instruct, where it has the option). */
export interface SelfInstructConfig {
  /** Instructions to generate, those of the seeds not counted. Default 100. */
  numInstructions?: number | undefined;
  /** Seed of all that is drawn: examples, templates, order, sampling. Default 42. */
  seed?: number | undefined;
  /** Prompts that are answered together; each batch knows what the ones before it kept. Default 5. */
  requestsPerBatch?: number | undefined;
  /** Instructions of the seeds in a prompt for more; while there are too few generated ones, more. Default 6. */
  numSeedExamples?: number | undefined;
  /** Instructions generated before in a prompt for more. Default 2. */
  numGeneratedExamples?: number | undefined;
  /** Requests for instructions at most, however few were kept. Default: no limit. */
  maxRequests?: number | null | undefined;
  /** Requests for instructions in a row that yield none, after which it goes on with what is there. Default 200. */
  maxIdleRequests?: number | undefined;
  /** Temperature of instructions; classification and instances are greedy. Default 0.7. */
  temperature?: number | undefined;
  /** Nucleus of instructions. Default 0.5. */
  topP?: number | undefined;
  /**
   * Lowers the logits of tokens that are written already, at an endpoint or by a function. Default: 2 for instructions
   * and 1.5 for instances; 0 for a Tunesmith model, which has no such penalty.
   */
  presencePenalty?: number | null | undefined;
  /** Of a Tunesmith model, in place of the presence penalty: as in GenerationConfig. Default: 1.1. */
  repetitionPenalty?: number | null | undefined;
  /** Tokens of a reply with instructions. Default 1024. */
  maxInstructionTokens?: number | undefined;
  /** Tokens of a reply with instances. Default: 300 for classification, 350 for other tasks. */
  maxInstanceTokens?: number | null | undefined;
  /**
   * How a model or endpoint is asked: `completion` continues the text, `chat` answers it as a user's turn. Default:
   * `completion` for a model, `chat` for an endpoint.
   */
  prompting?: "completion" | "chat" | null | undefined;
  /** ROUGE-L F-measure with any instruction of the pool above which a new one is dropped. Default 0.7. */
  maxSimilarity?: number | undefined;
  /** Instances of a task at most. Default 5. */
  maxInstancesPerTask?: number | undefined;
  /** Words and phrases of instructions that are dropped, in any case. Default: of images, files, maps and the like. */
  blocklist?: string[] | undefined;
  /** Filters that drop nothing. Default: none of them. */
  withoutFilters?:
    | (
        | "cut-reply"
        | "too-short"
        | "too-long"
        | "blocklist"
        | "write-a-program"
        | "leading-punctuation"
        | "leading-non-ascii"
        | "similar"
        | "cut-example"
        | "same-as-input"
        | "empty-output"
        | "ends-with-colon"
        | "conflicting-outputs"
        | "duplicate-instance"
        | "instances-per-task"
        | "duplicate-row"
        | "all"
      )[]
    | undefined;
  /** Whether the seeds' instances become rows too. Default true. */
  includeSeeds?: boolean | undefined;
}
