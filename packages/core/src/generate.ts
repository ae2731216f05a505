// What a generation is asked for and what it yields.
import type { GenerationConfig } from "./options/model-types.ts";

/** A generation request: how text is written, and of what. */
export interface GenerateOptions extends GenerationConfig {
  /** Token ids of each prompt, not empty. */
  prompts: readonly Int32Array[];
  /** Samples of each prompt (Hugging Face's name). The first is what one sample alone would be. Default 1. */
  numReturnSequences?: number;
  /**
   * Keep the log-probability of every token. It is of the model's distribution at the sampling temperature (1 where that is 0), before
   * topK, topP, minP and repetitionPenalty take part: what `Generator.logProbs` gives at that temperature. Default false.
   */
  logProbs?: boolean;
  /** Stops after the token in hand; the iterator then throws `AbortError`. */
  signal?: AbortSignal;
}

/** One token of one sample of a prompt. Tokens of a sample arrive in order. */
export interface TokenEvent {
  /** Index of the prompt. */
  index: number;
  /** Which of the samples of the prompt, from 0. */
  sample: number;
  tokenId: number;
  /** Where `logProbs` was asked for: in nats. Else null. */
  logProb: number | null;
  /** Set with the last token of a sample: it is a stop token, or `maxNewTokens` is reached. */
  finishReason: "stop" | "length" | null;
}
