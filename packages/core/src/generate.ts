// What a generation is asked for and what it yields.
import type { GenerationConfig, RolloutConfig } from "./options/model-types.ts";

/**
 * A generation request: how text is written, of what, and how much at a time. With `logProbs` they are, to the bit on the CPU, what
 * `Generator.logProbs` gives at that temperature for prompt and answer in one row; not where the row outgrows a rotation for short texts.
 */
export interface GenerateOptions extends GenerationConfig, RolloutConfig {
  /** Token ids of each prompt, not empty. */
  prompts: readonly Int32Array[];
  /**
   * Asked of every token, in the order of its sample, before it is given out: `true` ends the sample with it. Others go on, and which
   * tokens they get does not depend on it. Default: samples end by themselves.
   */
  stopWhen?: (event: TokenEvent) => boolean;
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
  /** Set with the last token of a sample: it is a stop token, `stopWhen` has ended it, or `maxNewTokens` is reached. */
  finishReason: "stop" | "length" | null;
}
