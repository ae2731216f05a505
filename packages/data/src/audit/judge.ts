// Lets a judge score a sample of the answers: a function, or a model that answers in OpenAI's form.
import {
  ArgumentError,
  DataError,
  type EndpointOptions,
  endpointKeys,
  type OptionKeys,
  parseKeys,
  TextEndpoint,
} from "@tunesmith/core";
import { type AuditRow, lastAnswer } from "./audit-row.ts";
import type { Check } from "./finding.ts";

/** What a judge looks at. */
export interface JudgedAnswer {
  /** `FILE:LINE`, or the place in the list. */
  place: string;
  /** All turns before the last answer, each with its role. */
  prompt: { role: string; text: string }[];
  answer: string;
}

/** Scores an answer from 0 (useless) to 10 (correct, complete, well written). */
export type JudgeFunction = (answer: JudgedAnswer) => number | Promise<number>;

/** A model that scores answers, at an endpoint in OpenAI's form (`POST …/chat/completions`). */
export type JudgeEndpoint = EndpointOptions;

/** Who scores, and how many answers. */
export type Judge =
  | JudgeFunction
  | (({ score: JudgeFunction } | JudgeEndpoint) & {
      /** Answers that are scored, spread evenly over the set. Default 50. */
      sample?: number;
      /** Score below which an answer is a finding. Default 5. */
      least?: number;
    });

interface Settings extends Partial<JudgeEndpoint> {
  score?: JudgeFunction;
  sample?: number;
  least?: number;
}

const keys: OptionKeys<Settings> = {
  ...endpointKeys,
  baseUrl: "optional",
  model: "optional",
  score: "optional function",
  sample: "optional",
  least: "optional",
};

/** Scores a sample; gives the check that names low scores, and what they are in all. */
export async function judgeCheck(judge: Judge, rows: readonly AuditRow[], signal?: AbortSignal) {
  const { score, sample = 50, least = 5, ...endpoint } = settingsOf(judge);
  const scoring = score ?? asking(endpoint as JudgeEndpoint, signal);
  const judged: { row: AuditRow; score: number }[] = [];
  for (const row of spread(
    rows.filter((entry) => (lastAnswer(entry) ?? "").trim() !== ""),
    sample,
  )) {
    signal?.throwIfAborted();
    judged.push({ row, score: checkedScore(await scoring(judgedAnswer(row)), row.place) });
  }
  const low = judged.filter((entry) => entry.score < least);
  const check: Check = {
    code: "low-judged-answer",
    severity: "warning",
    remedy: "read these answers, correct or remove them; what is in the data is what the model will write",
    isRemoved: false,
    find: () => ({
      message: `answers that the judge scored below ${least} of 10, among ${judged.length} it looked at`,
      rows: low.map((entry) => ({ row: entry.row, detail: `score ${entry.score}` })),
    }),
  };
  const values = judged.map((entry) => entry.score);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { check, scores: values.length === 0 ? null : { rows: values.length, mean, min: Math.min(...values) } };
}

function settingsOf(judge: Judge): Settings {
  const settings: Settings =
    typeof judge === "function" ? { score: judge } : parseKeys(keys, judge as Settings, "judge");
  const { score, baseUrl, model, sample = 1 } = settings;
  if (score === undefined && (typeof baseUrl !== "string" || typeof model !== "string"))
    throw new ArgumentError(
      "[judge] expected a function, { score }, or { baseUrl, model } of an endpoint in OpenAI's form, got something else; give one of these",
    );
  if (!Number.isInteger(sample) || sample < 1)
    throw new ArgumentError(`[judge.sample] expected a whole number above 0, got ${String(sample)}; correct it`);
  return settings;
}

function spread(rows: readonly AuditRow[], sample: number): AuditRow[] {
  const count = Math.min(sample, rows.length);
  return Array.from({ length: count }, (_, n) => rows[Math.floor((n * rows.length) / count)] as AuditRow);
}

function judgedAnswer(row: AuditRow): JudgedAnswer {
  const last = row.turns.findLastIndex(({ role }) => role === "assistant");
  const prompt = row.turns.slice(0, Math.max(0, last)).map(({ role, text }) => ({ role, text }));
  return { place: row.place, prompt, answer: lastAnswer(row) ?? "" };
}

function checkedScore(score: unknown, place: string): number {
  if (typeof score === "number" && score >= 0 && score <= 10) return score;
  throw new DataError(`[judge] ${place}: expected a score from 0 to 10, got ${String(score)}; correct the judge`);
}

const instruction =
  "You grade answers that a language model will be trained on. Judge whether the answer is correct, complete and helpful for the prompt. " +
  "Reply with one whole number from 0 (useless) to 10 (excellent) and nothing else.";

/** A judge that asks an endpoint. */
function asking(options: JudgeEndpoint, signal?: AbortSignal): JudgeFunction {
  const endpoint = new TextEndpoint(options, "judge");
  return async ({ place, prompt, answer }) => {
    const asked = prompt.map(({ role, text }) => `${role}: ${text}`).join("\n\n");
    const content = `Prompt:\n${asked}\n\nAnswer:\n${answer}\n\nScore:`;
    const messages = [
      { role: "system", content: instruction },
      { role: "user", content },
    ];
    const { text } = await endpoint.complete({ messages, temperature: 0, maxTokens: 16 }, signal);
    const number = /\d+(?:\.\d+)?/u.exec(text)?.[0];
    if (number !== undefined) return Number(number);
    throw new DataError(
      `[judge] ${place}: expected a score from ${options.model}, got a reply without one, ${JSON.stringify(text.slice(0, 80))}; choose another model`,
    );
  };
}
