// Many prompts answered together.
import {
  type BatchGenerationConfig,
  type Completion,
  Continuation,
  complete,
  type GenerationConfig,
  type Generator,
  type LanguageModel,
  type ParsedBatchGenerationConfig,
  type ParsedGenerationConfig,
  type TokenEvent,
} from "@tunesmith/core";

/** Options of {@link FastLanguageModel.generateBatch}. */
export interface BatchGenerationOptions extends GenerationConfig, BatchGenerationConfig {
  /** Told of each answer as it ends. Default: not told. */
  onAnswer?: (answer: GeneratedAnswer) => void;
  /** Stops after the token in hand; `generateBatch` then rejects with `AbortError`. */
  signal?: AbortSignal;
}

/** An answer to one of many prompts. */
export interface GeneratedAnswer extends Completion {
  /** Without the token that ended it, and up to the first of `stopStrings`; its ids are those of all tokens that were written. */
  text: string;
}

/** What was parsed of the options. */
export interface BatchRequest {
  config: ParsedGenerationConfig;
  batch: ParsedBatchGenerationConfig;
  onAnswer: (answer: GeneratedAnswer) => void;
  signal: AbortSignal | undefined;
}

/** Answers to prompts of fewer tokens than the model's context, by prompt and sample; each ends at the latest where the context does. */
export async function answerBatch(
  generator: Generator,
  { tokenizer, info }: Pick<LanguageModel, "tokenizer" | "info">,
  prompts: readonly Int32Array[],
  { config, batch: { stopStrings, ...rollout }, onAnswer, signal }: BatchRequest,
): Promise<GeneratedAnswer[][]> {
  const texts = prompts.map((): { text: Continuation; room: number }[] => []);
  const roomAfter = (index: number) => info.maxPositionEmbeddings - (prompts[index] as Int32Array).length;
  /** Takes a token into its text; true where it is the last one. */
  const stopWhen = ({ index, sample, tokenId, finishReason }: TokenEvent): boolean => {
    const samples = texts[index] ?? [];
    samples[sample] ??= { text: new Continuation(tokenizer, stopStrings ?? []), room: roomAfter(index) };
    const own = samples[sample];
    own.room -= 1;
    return own.text.add({ tokenId, finishReason: finishReason ?? (own.room === 0 ? "length" : null) });
  };
  const answer = (completion: Completion): GeneratedAnswer => {
    const own = texts[completion.prompt]?.[completion.sample]?.text;
    return { ...completion, text: own?.text ?? "", finishReason: own?.finishReason ?? completion.finishReason };
  };
  const mostRoom = Math.max(...prompts.map((_, index) => roomAfter(index)));
  const maxNewTokens = Math.min(config.maxNewTokens, mostRoom);
  const options = { ...config, ...rollout, ...(signal !== undefined && { signal }), maxNewTokens, prompts, stopWhen };
  const all = await complete(generator, options, (completion) => onAnswer(answer(completion)));
  return all.map((samples) => samples.map(answer));
}
