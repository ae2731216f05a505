// How good the answers of a model to the prompts of rows are.
import { CallbackError, type Similarity } from "@tunesmith/core";
import type { RowObject } from "@tunesmith/data";
import type { Answer } from "../loop/answers.ts";
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
