// Evaluates a model on held-out rows, with the base model next to it.

import type {
  Generator,
  LanguageModel,
  ParsedEvaluationConfig,
  ParsedGenerationConfig,
  ParsedSFTConfig,
  Similarity,
} from "@tunesmith/core";
import type { DataReport, DatasetSource, FormattingFunc } from "@tunesmith/data";
import { type Answer, answersOf } from "../loop/answers.ts";
import { judged, type RowMetric } from "./answers.ts";
import { likelihood } from "./likelihood.ts";
import { type EvaluatedRow, rowsToEvaluate } from "./rows.ts";
import type { RowValues } from "./sums.ts";
import { type EvaluationTable, tableOf } from "./table.ts";

/** Which of two models: the one that is evaluated, or the one it is compared with. */
export type Contender = "model" | "base";

/** Lends the weights of a model to work on them. */
export type UseWeights = <T>(work: (session: Generator) => Promise<T>) => Promise<T>;

/** How far an evaluation is. */
export interface EvaluationProgress {
  contender: Contender;
  phase: "loss" | "answers";
  /** Rows that are done, of all that the phase has. */
  done: number;
  rows: number;
}

/** An answer as it is there. */
export interface AnswerEvent extends Answer {
  contender: Contender;
  row: EvaluatedRow;
}

/** A row with what the models made of it. */
export interface KeptRow {
  place: string;
  group: string | null;
  prompt: string | null;
  reference: string | null;
  /** What was written, by `model` and `base`; empty where nothing was asked. */
  answers: Partial<Record<Contender, Answer>>;
  /** Every metric of the row, by `model` and `base`. */
  metrics: Partial<Record<Contender, Record<string, number>>>;
}

/** What an evaluation is made of. */
export interface EvaluationInputs {
  /** Its tokenizer reads the rows, of the base too. */
  model: LanguageModel;
  dataset: DatasetSource;
  formattingFunc: FormattingFunc | null;
  args: ParsedSFTConfig;
  evaluation: ParsedEvaluationConfig;
  generation: ParsedGenerationConfig;
  metrics: Readonly<Record<string, RowMetric>>;
  use: { model: UseWeights; base: UseWeights | null };
  similarity: Pick<Similarity, "rougeL">;
  signal: AbortSignal;
  onProgress: (progress: EvaluationProgress) => void;
  onAnswer: (answer: AnswerEvent) => void;
}

/** What an evaluation found. */
export interface EvaluationTables {
  /** All rows. */
  overall: EvaluationTable;
  /** By the values of the column `groupBy`, in the order in which they come. */
  groups: EvaluationTable[];
  rows: KeptRow[];
  data: DataReport;
  warnings: string[];
}

/** Scores rows and answers their prompts, with each model. Rejects with the signal's reason between two passes, or `AbortError`. */
export async function evaluateModels(inputs: EvaluationInputs): Promise<EvaluationTables> {
  const { model, dataset, formattingFunc, args, evaluation, use, signal } = inputs;
  const { groupBy, generateAnswers: prompts } = evaluation;
  const { rows, report, warnings } = await rowsToEvaluate(
    { dataset, formattingFunc, args, groupBy, prompts },
    model,
    signal,
  );
  const found = [await use.model((session) => scored("model", session, rows, inputs))];
  if (use.base !== null) found.push(await use.base((session) => scored("base", session, rows, inputs)));
  const values = found.map((one) => one.values);
  const options = { ...evaluation, seed: inputs.generation.seed, signal };
  const every = Int32Array.from(rows.keys());
  const overall = await tableOf(null, values, { ...options, rows: every, stream: 0 });
  const groups: EvaluationTable[] = [];
  for (const [index, [group, members]] of [...grouped(rows)].entries())
    groups.push(await tableOf(group, values, { ...options, rows: Int32Array.from(members), stream: index + 1 }));
  warnings.push(...unanswered(rows, found[0]?.answers ?? []));
  return { overall, groups, rows: rows.map((row, n) => keptRow(row, n, found)), data: report, warnings };
}

/** What a model made of all rows. */
interface Scored {
  contender: Contender;
  values: RowValues[];
  answers: (Answer | null)[];
}

async function scored(
  contender: Contender,
  session: Generator,
  rows: readonly EvaluatedRow[],
  { model, args, generation, metrics, similarity, signal, onProgress, onAnswer }: EvaluationInputs,
): Promise<Scored> {
  const examples = rows.map(({ example }) => example);
  const onRows = (done: number) => onProgress({ contender, phase: "loss", done, rows: rows.length });
  const values = await likelihood(session, examples, { tokenBudget: args.tokenBudget, signal, onRows });
  const asked = rows.filter(({ prompt }) => prompt !== null).length;
  if (asked === 0) return { contender, values, answers: [] };
  let done = 0;
  const answers = await answersOf(session, rows, model, {
    config: generation,
    signal,
    onAnswer: (row, answer) => {
      done += 1;
      onProgress({ contender, phase: "answers", done, rows: asked });
      onAnswer({ contender, row: rows[row] as EvaluatedRow, ...answer });
    },
  });
  return { contender, values: [...values, ...(await judged(rows, answers, metrics, similarity))], answers };
}

function grouped(rows: readonly EvaluatedRow[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const [n, { group }] of rows.entries()) {
    if (group === null) continue;
    const members = groups.get(group) ?? [];
    members.push(n);
    groups.set(group, members);
  }
  return groups;
}

/** Rows that have a prompt, but no room for an answer to it. */
function unanswered(rows: readonly EvaluatedRow[], answers: readonly (Answer | null)[]): string[] {
  const places = rows.flatMap(({ prompt, place }, n) => (prompt !== null && answers[n] === null ? [place] : []));
  if (places.length === 0) return [];
  const first = places.slice(0, 3).join(", ");
  return [
    `${places.length} of ${rows.length} rows have no answer, since their prompts fill the model's context or are empty (${first}${places.length > 3 ? ", …" : ""}); they count in loss, perplexity and tokenAccuracy alone`,
  ];
}

function keptRow({ place, group, prompt }: EvaluatedRow, n: number, found: readonly Scored[]): KeptRow {
  const answers: KeptRow["answers"] = {};
  const metrics: KeptRow["metrics"] = {};
  for (const { contender, values, answers: written } of found) {
    const answer = written[n] ?? null;
    if (answer !== null) answers[contender] = answer;
    const known = values.filter(({ weight, isExponential }) => (weight[n] as number) > 0 && !isExponential);
    metrics[contender] = Object.fromEntries(
      known.map(({ metric, sum, weight }) => [metric, (sum[n] as number) / (weight[n] as number)]),
    );
  }
  return { place, group, prompt: prompt?.prompt ?? null, reference: prompt?.reference ?? null, answers, metrics };
}
