// Answers prompts, during training and to evaluate a model.
import type { GenerateOptions, Generator, TokenEvent } from "@tunesmith/core";
import type { SamplePrompt } from "@tunesmith/data";

/** How prompts are answered. */
export interface CompleteOptions extends Omit<GenerateOptions, "prompts"> {
  /** Told of each prompt once it is answered. Default: not told. */
  onAnswer?: (index: number, ids: Int32Array, finishReason: NonNullable<TokenEvent["finishReason"]>) => void;
}

/** Ids that continue each prompt: all prompts together, stop tokens left out; greedy unless a temperature is given. */
export async function complete(
  session: Pick<Generator, "generate">,
  prompts: readonly Pick<SamplePrompt, "ids">[],
  { onAnswer = () => {}, ...options }: CompleteOptions,
): Promise<Int32Array[]> {
  const ids: number[][] = prompts.map(() => []);
  const request = { ...options, prompts: prompts.map((prompt) => prompt.ids) };
  for await (const { index, tokenId, finishReason } of session.generate(request)) {
    const own = ids[index];
    if (own === undefined) continue;
    if (finishReason !== "stop") own.push(tokenId);
    if (finishReason !== null) onAnswer(index, Int32Array.from(own), finishReason);
  }
  return ids.map((list) => Int32Array.from(list));
}
