// Answers prompts during training.
import type { Generator } from "@tunesmith/core";
import type { SamplePrompt } from "@tunesmith/data";

/** Ids that continue each prompt: greedy, all prompts together, stop tokens left out. */
export async function complete(
  session: Generator,
  prompts: readonly SamplePrompt[],
  {
    maxNewTokens,
    stopTokenIds,
    signal,
  }: { maxNewTokens: number; stopTokenIds: readonly number[]; signal?: AbortSignal },
): Promise<Int32Array[]> {
  const ids: number[][] = prompts.map(() => []);
  const request = { prompts: prompts.map((prompt) => prompt.ids), maxNewTokens, stopTokenIds: [...stopTokenIds] };
  for await (const event of session.generate(signal === undefined ? request : { ...request, signal })) {
    if (event.finishReason !== "stop") ids[event.index]?.push(event.tokenId);
  }
  return ids.map((list) => Int32Array.from(list));
}
