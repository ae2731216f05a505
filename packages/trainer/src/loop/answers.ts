// Answers of a model to the prompts of rows, as texts.
import type { Generator, LanguageModel, ParsedGenerationConfig } from "@tunesmith/core";
import type { SamplePrompt } from "@tunesmith/data";
import { complete } from "./samples.ts";

/** What a model wrote. */
export interface Answer {
  text: string;
  /** `length`: it was cut at `maxNewTokens`, or at the end of the model's context. */
  finishReason: "stop" | "length";
  tokens: number;
}

/** How answers are written. */
export interface AnswerOptions {
  config: ParsedGenerationConfig;
  signal: AbortSignal;
  /** Told of each answer as it is there. */
  onAnswer: (row: number, answer: Answer) => void;
}

/**
 * The answers of a session, by row; null where there is no prompt, or one that fills the model's context. All prompts are continued
 * together; those after which the context has no room for `maxNewTokens` alone, up to its end.
 */
export async function answersOf(
  session: Pick<Generator, "generate">,
  rows: readonly { prompt: Pick<SamplePrompt, "ids"> | null }[],
  { tokenizer, info }: LanguageModel,
  { config: { stopTokenIds, maxNewTokens, ...config }, signal, onAnswer }: AnswerOptions,
): Promise<(Answer | null)[]> {
  const answers: (Answer | null)[] = rows.map(() => null);
  const asked = rows.flatMap(({ prompt }, row) => (prompt === null ? [] : [{ row, ids: prompt.ids }]));
  const roomFor = (ids: Int32Array) => info.maxPositionEmbeddings - ids.length;
  const write = (prompts: typeof asked, most: number) =>
    complete(session, prompts, {
      ...config,
      stopTokenIds: stopTokenIds ?? info.eosTokenIds,
      maxNewTokens: most,
      signal,
      onAnswer: (index, ids, finishReason) => {
        const { row } = prompts[index] as (typeof asked)[number];
        const answer = { text: tokenizer.decode(ids), finishReason, tokens: ids.length };
        answers[row] = answer;
        onAnswer(row, answer);
      },
    });
  const together = asked.filter(({ ids }) => ids.length > 0 && roomFor(ids) >= maxNewTokens);
  if (together.length > 0) await write(together, maxNewTokens);
  for (const one of asked) {
    const room = roomFor(one.ids);
    if (one.ids.length > 0 && room > 0 && room < maxNewTokens) await write([one], room);
  }
  return answers;
}
