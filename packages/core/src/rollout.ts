// Whole answers to prompts, collected from a stream of tokens.
import type { GenerateOptions, TokenEvent } from "./generate.ts";
import type { Generator } from "./generator.ts";

/** A whole answer. */
export interface Completion {
  /** Index of the prompt. */
  prompt: number;
  /** Which of the samples of the prompt, from 0. */
  sample: number;
  /** What was written, a stop token at its end included. */
  tokenIds: Int32Array;
  /** Of each token, in nats, where they were asked for; see `GenerateOptions`. */
  logProbs: Float32Array | null;
  finishReason: NonNullable<TokenEvent["finishReason"]>;
}

/**
 * Answers every prompt, and gives the answers by prompt and sample. `onCompletion` is told of each as it ends. Rejects as
 * `Generator.generate` throws.
 */
export async function complete(
  generator: Pick<Generator, "generate">,
  options: GenerateOptions,
  onCompletion: (completion: Completion) => void = () => {},
): Promise<Completion[][]> {
  const completions: Completion[][] = options.prompts.map(() => []);
  const written = options.prompts.map((): { ids: number[]; logProbs: number[] }[] => []);
  for await (const { index, sample, tokenId, logProb, finishReason } of generator.generate(options)) {
    const samples = written[index] ?? [];
    samples[sample] ??= { ids: [], logProbs: [] };
    const own = samples[sample];
    own.ids.push(tokenId);
    if (logProb !== null) own.logProbs.push(logProb);
    if (finishReason === null) continue;
    const logProbs = logProb === null ? null : Float32Array.from(own.logProbs);
    const completion = { prompt: index, sample, tokenIds: Int32Array.from(own.ids), logProbs, finishReason };
    (completions[index] as Completion[])[sample] = completion;
    onCompletion(completion);
  }
  return completions;
}
