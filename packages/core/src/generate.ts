// What a generation is asked for and what it yields.
import type { GenerationConfig } from "./options/model-types.ts";

/** A generation request: how text is written, and of what. */
export interface GenerateOptions extends GenerationConfig {
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
