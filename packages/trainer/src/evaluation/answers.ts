// Answers of a model to the prompts of rows, and how good they are.
import {
  CallbackError,
  type Generator,
  type LanguageModel,
  type ParsedGenerationConfig,
  type Similarity,
} from "@tunesmith/core";
import type { RowObject } from "@tunesmith/data";
import { complete } from "../loop/samples.ts";
import type { EvaluatedRow } from "./rows.ts";
import { emptySums, type RowValues } from "./sums.ts";

/** An answer, with what it is judged by. */
export interface EvaluatedAnswer {
  /** What was asked last. */
  prompt: string;
  /** What the row says the answer is; null where it does not say. */
  reference: string | null;
  /** What the model wrote. */
  answer: string;
  /** The row as it was read. */
  row: RowObject;
}

/** A metric of one's own: the number of one answer; true is 1 and false 0, null says nothing of it. */
export type RowMetric = (answer: EvaluatedAnswer) => number | boolean | null | Promise<number | boolean | null>;

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
  rows: readonly EvaluatedRow[],
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

/** Exact match, ROUGE-L and metrics of one's own, by row. */
export async function judged(
  rows: readonly EvaluatedRow[],
  answers: readonly (Answer | null)[],
  metrics: Readonly<Record<string, RowMetric>>,
  similarity: Pick<Similarity, "rougeL">,
): Promise<RowValues[]> {
  const found = rows.flatMap(({ prompt, fields }, n) => {
    const answer = answers[n] ?? null;
    return answer === null || prompt === null
      ? []
      : [{ n, prompt: prompt.prompt, reference: prompt.reference, answer: answer.text, row: fields }];
  });
  const withReference = found.flatMap(({ n, reference, answer }) =>
    reference === null ? [] : [{ n, reference, answer }],
  );
  const pairs = withReference.map(({ reference, answer }) => ({ target: reference, prediction: answer }));
  const scores = await similarity.rougeL(pairs);
  const exact = emptySums(rows.length);
  const rouge = emptySums(rows.length);
  for (const [index, { n, reference, answer }] of withReference.entries()) {
    exact.sum[n] = reference.trim() === answer.trim() ? 1 : 0;
    rouge.sum[n] = scores[index] as number;
    exact.weight[n] = 1;
    rouge.weight[n] = 1;
  }
  const values: RowValues[] = [
    { metric: "exactMatch", better: "higher", isExponential: false, ...exact },
    { metric: "rougeL", better: "higher", isExponential: false, ...rouge },
  ];
  for (const [metric, judge] of Object.entries(metrics)) {
    const own = emptySums(rows.length);
    for (const { n, ...answer } of found) {
      const value = await valueBy(metric, judge, answer, rows[n]?.place ?? "");
      if (value === null) continue;
      own.sum[n] = value;
      own.weight[n] = 1;
    }
    values.push({ metric, better: null, isExponential: false, ...own });
  }
  return values;
}

async function valueBy(name: string, judge: RowMetric, answer: EvaluatedAnswer, place: string): Promise<number | null> {
  let value: unknown;
  try {
    value = await judge(answer);
  } catch (cause) {
    throw new CallbackError(`[metrics.${name}] expected a number for ${place}, got an error: ${String(cause)}`, {
      cause,
    });
  }
  if (typeof value === "boolean") return Number(value);
  if (value === null || (typeof value === "number" && Number.isFinite(value))) return value;
  throw new CallbackError(
    `[metrics.${name}] expected a finite number, true, false or null for ${place}, got ${String(value)}; correct the function`,
  );
}
