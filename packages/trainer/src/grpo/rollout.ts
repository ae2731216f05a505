// Completions of prompts: sampled from the model, or by a function of the program.
import { CallbackError, complete, type Generator, type Message, type ParsedGRPOConfig } from "@tunesmith/core";
import type { RewardState } from "../rewards/reward.ts";

/** A prompt that is answered. */
export interface RolloutPrompt {
  /** As its row has it: a text, or messages. */
  prompt: string | readonly Message[];
  promptIds: Int32Array;
  /** Every other column of its row. */
  columns: Readonly<Record<string, unknown>>;
}

/** What completions are asked for. */
export interface RolloutInput {
  prompts: readonly RolloutPrompt[];
  /** Completions of each prompt. */
  numGenerations: number;
  /** Seed of this generation alone. */
  seed: number;
  state: RewardState;
  /** Generates with the weights as they are now. */
  session: Generator;
  signal: AbortSignal;
}

/** A completion, as it is trained on. */
export interface RolloutCompletion {
  completionIds: ArrayLike<number>;
  /** 0 for tokens that the model did not write, such as those of a tool: they are never trained. Default: it wrote all (TRL's env_mask). */
  envMask?: ArrayLike<number> | undefined;
}

/** Gives the completions of prompts, those of a prompt next to each other; may hold several turns. */
export type RolloutFunc = (input: RolloutInput) => Promise<readonly RolloutCompletion[]>;

/** How completions are sampled. */
type Sampling = Pick<
  ParsedGRPOConfig,
  "maxCompletionLength" | "temperature" | "topK" | "topP" | "minP" | "repetitionPenalty"
>;

/** Samples completions from the model that is trained, by its own weights. */
export function sampledRollout(sampling: Sampling, eosTokenIds: readonly number[]): RolloutFunc {
  const { maxCompletionLength: maxNewTokens, temperature, topK, topP, minP, repetitionPenalty } = sampling;
  return async ({ prompts, numGenerations, seed, session, signal }) => {
    const completions = await complete(session, {
      prompts: prompts.map(({ promptIds }) => promptIds),
      ...{ numReturnSequences: numGenerations, maxNewTokens, temperature, topK, topP, repetitionPenalty, seed, signal },
      minP: minP ?? 0,
      stopTokenIds: [...eosTokenIds],
    });
    return completions.flat().map(({ tokenIds }) => ({ completionIds: tokenIds }));
  };
}

/** Completions of a program's function, checked. */
export function checkedRollout(given: unknown, { prompts, numGenerations }: RolloutInput, vocabSize: number) {
  const refuse = (expected: string, got: string): never => {
    throw new CallbackError(`[rolloutFunc] expected ${expected}, got ${got}; fix the function`);
  };
  const count = prompts.length * numGenerations;
  if (!Array.isArray(given) || given.length !== count)
    return refuse(
      `${count} completions, ${numGenerations} of each prompt next to each other`,
      Array.isArray(given) ? String(given.length) : typeof given,
    );
  return given.map((entry: unknown, n): { ids: Int32Array; trained: Uint8Array | null } => {
    const { completionIds, envMask } = (entry ?? {}) as Partial<RolloutCompletion>;
    const list = Array.from(completionIds ?? refuse(`{ completionIds } as completion ${n + 1}`, "something else"));
    const wrong = list.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (wrong !== undefined) refuse(`token ids below ${vocabSize} in completion ${n + 1}`, String(wrong));
    if (envMask !== undefined && envMask.length !== list.length)
      refuse(`an envMask of ${list.length} entries in completion ${n + 1}`, String(envMask.length));
    const trained = envMask === undefined ? null : Uint8Array.from(envMask, (flag) => (flag === 0 ? 0 : 1));
    return { ids: Int32Array.from(list), trained };
  });
}
