// Prompts of a batch to a Tunesmith model, continued together.
import {
  ArgumentError,
  Continuation,
  type GenerateOptions,
  type ModelInfo,
  type ParsedSelfInstructConfig,
  type TokenEvent,
  type Tokenizer,
} from "@tunesmith/core";
import type { GenerateTextOptions, OpenGenerator } from "./generate.ts";

/** What is needed of a model: every `LanguageModel` has it. */
export interface TextModel {
  readonly info: Pick<ModelInfo, "path" | "origin" | "maxPositionEmbeddings">;
  readonly tokenizer: Tokenizer;
  /** Tells it from others where a run goes on. Default: its name on the Hub, or its path. */
  readonly identity?: string;
  /** Loads the weights. */
  createGenerator(): Promise<{ generate(options: GenerateOptions): AsyncIterable<TokenEvent> } & AsyncDisposable>;
}

/** In place of the presence penalty that a model does not have: greedy texts of small models repeat themselves without one. */
const usualRepetitionPenalty = 1.1;

/** A generator that continues the prompts of a batch together; the weights are read with the first one. */
export function modelGenerator(
  model: TextModel,
  { prompting, repetitionPenalty }: Pick<ParsedSelfInstructConfig, "prompting" | "repetitionPenalty">,
): OpenGenerator {
  const isChat = prompting === "chat";
  if (isChat && model.tokenizer.info.chatTemplate === null)
    throw new ArgumentError(
      "[prompting] expected a model with a chat template for chat, got one without; choose completion",
    );
  const name = model.identity ?? model.info.origin?.name ?? model.info.path;
  const penalty = repetitionPenalty ?? usualRepetitionPenalty;
  let loading: ReturnType<TextModel["createGenerator"]> | null = null;
  return {
    identity: { type: "model", model: name, repetitionPenalty: penalty },
    async generate(prompts, options) {
      loading ??= model.createGenerator();
      const session = await loading;
      const ids = await encoded(model.tokenizer, prompts, isChat);
      const request = requestOf(ids, options, penalty, model.info.maxPositionEmbeddings);
      return continued(session.generate(request), model.tokenizer, prompts.length, options.stop);
    },
    async close() {
      const session = await loading?.catch(() => null);
      loading = null;
      await session?.[Symbol.asyncDispose]();
    },
  };
}

async function encoded(tokenizer: Tokenizer, prompts: readonly string[], isChat: boolean): Promise<Int32Array[]> {
  if (!isChat) return tokenizer.encodeTexts(prompts);
  const conversations = prompts.map((content) => ({ messages: [{ role: "user", content }] }));
  return (await tokenizer.encodeConversations(conversations, { addGenerationPrompt: true })).map(({ ids }) => ids);
}

function requestOf(
  prompts: readonly Int32Array[],
  { temperature, topP, maxTokens, seed, step, signal }: GenerateTextOptions,
  repetitionPenalty: number,
  context: number,
): GenerateOptions {
  const longest = Math.max(...prompts.map(({ length }) => length));
  if (longest >= context)
    throw new ArgumentError(
      `[selfInstruct] expected prompts of fewer tokens than the model's context of ${context}, got ${longest} in the step ${step}; give shorter seeds, or fewer examples`,
    );
  return {
    prompts,
    temperature,
    topP,
    maxNewTokens: Math.min(maxTokens, context - longest),
    repetitionPenalty,
    seed,
    ...(signal !== undefined && { signal }),
  };
}

/** The texts of a generation, each up to the first text that stops it. Once all have ended, the generation is ended too. */
async function continued(
  tokens: AsyncIterable<TokenEvent>,
  tokenizer: Tokenizer,
  count: number,
  stop: readonly string[],
): Promise<{ text: string; finishReason: "stop" | "length" }[]> {
  const texts = Array.from({ length: count }, () => new Continuation(tokenizer, stop));
  let open = count;
  for await (const event of tokens) {
    if (texts[event.index]?.add(event) === true) open -= 1;
    if (open === 0) break;
  }
  return texts.map(({ text, finishReason }) => ({ text, finishReason: finishReason ?? "stop" }));
}
