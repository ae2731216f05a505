// What a generation is asked for and what it yields.

/** How tokens are chosen (names and order of application of Hugging Face's GenerationConfig). */
export interface SamplingOptions {
  /** Tokens to write at most. */
  maxNewTokens: number;
  /** 0 is greedy: the largest logit, the lowest id on a tie. Default 0. */
  temperature?: number;
  /** Keep the k largest logits; 0 keeps all. Default 0. */
  topK?: number;
  /** Keep the smallest set of tokens whose probability reaches topP. Default 1. */
  topP?: number;
  /** Drop tokens less likely than minP times the likeliest. Default 0. */
  minP?: number;
  /** Divides positive and multiplies negative logits of tokens already present. Default 1. */
  repetitionPenalty?: number;
  /** Same seed, same prompts: same text, whatever the batch. Default 0. */
  seed?: number;
  /** Tokens that end a sequence. Default: the model's. */
  stopTokenIds?: readonly number[];
}

/** A generation request. */
export interface GenerateOptions extends SamplingOptions {
  /** Token ids of each prompt, not empty. */
  prompts: readonly Int32Array[];
  /** Stops after the token in hand; the iterator then throws `AbortError`. */
  signal?: AbortSignal;
}

/** One token of one prompt. Tokens of a prompt arrive in order. */
export interface TokenEvent {
  /** Index of the prompt. */
  index: number;
  tokenId: number;
  /** Set with the last token of a prompt: it is a stop token, or `maxNewTokens` is reached. */
  finishReason: "stop" | "length" | null;
}
