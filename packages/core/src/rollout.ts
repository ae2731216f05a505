// Whole answers to prompts, collected from a stream of tokens.
import type { Batch } from "./batch.ts";
import { ArgumentError } from "./errors.ts";
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
  /** Of each token, in nats, where they were asked for; see {@link GenerateOptions.logProbs}. */
  logProbs: Float32Array | null;
  finishReason: NonNullable<TokenEvent["finishReason"]>;
}

/**
 * Answers every prompt, and gives the answers by prompt and sample. `onCompletion` is told of each as it ends. Rejects as
 * `Generator.generate` throws.
 */
export async function complete(
  generator: Generator,
  options: GenerateOptions,
  onCompletion: (completion: Completion) => void = () => {},
): Promise<Completion[][]> {
  const { numReturnSequences = 1, logProbs = false, ...request } = options;
  if (!Number.isSafeInteger(numReturnSequences) || numReturnSequences < 1)
    throw new ArgumentError(
      `[generate.numReturnSequences] expected an integer of at least 1, got ${numReturnSequences}`,
    );
  const prompts = options.prompts.flatMap((ids) => Array.from({ length: numReturnSequences }, () => ids));
  const written: number[][] = prompts.map(() => []);
  const completions: Completion[][] = options.prompts.map(() => []);
  for await (const { index, tokenId, finishReason } of generator.generate({ ...request, prompts })) {
    const own = written[index] as number[];
    own.push(tokenId);
    if (finishReason === null) continue;
    const [prompt, sample] = [Math.floor(index / numReturnSequences), index % numReturnSequences];
    const completion = { prompt, sample, tokenIds: Int32Array.from(own), logProbs: null, finishReason };
    (completions[prompt] as Completion[])[sample] = completion;
    if (!logProbs) onCompletion(completion);
  }
  if (!logProbs) return completions;
  for (const completion of completions.flat()) {
    const prompt = options.prompts[completion.prompt] as Int32Array;
    const batch = oneRow(prompt, completion.tokenIds);
    const { logProb } = await generator.logProbs(batch, { temperature: request.temperature || 1 });
    completion.logProbs = logProb.slice(prompt.length);
    onCompletion(completion);
  }
  return completions;
}

/** A prompt and its answer as one row, supervised throughout. */
function oneRow(prompt: Int32Array, answer: Int32Array): Batch {
  const inputIds = Int32Array.from([...prompt, ...answer]);
  return {
    inputIds,
    labels: inputIds,
    positions: inputIds.map((_, position) => position),
    sequenceStarts: Int32Array.of(0, inputIds.length),
    microBatch: Int32Array.of(0),
    rowIds: Int32Array.of(0),
  };
}
