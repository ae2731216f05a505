// The rows of an evaluation set as a program's metrics see them, and the model's answers to them.
import { ArgumentError, type GenerationConfig, generationConfigSchema, parseOptions } from "@tunesmith/core";
import { promptsOfItems, promptsOfTexts, type RowObject } from "@tunesmith/data";
import type { ActiveRun } from "../active-run.ts";
import { answersOf } from "../answers.ts";
import type { PreparedRun } from "../recipe.ts";

/** A row of an evaluation set. */
export interface EvalRow {
  /** The last user's turn, or the prompt; null in a row that has none, such as a plain text. */
  prompt: string | null;
  /** What the row says the answer is; null where it does not say. */
  reference: string | null;
  /** The row as it was read. */
  row: RowObject;
  /** The whole prompt as ids, ready for generation; null without one. */
  ids: Int32Array | null;
}

/** What is answered: a row, or a text of one's own. */
export type EvalPrompt = string | Pick<EvalRow, "ids">;

/** Rows that have been encoded, by what was prepared of them. */
const encoded = new WeakMap<object, Promise<EvalRow[]>>();

/** The rows of an evaluation set; encoded once. */
export function evalRows({ heldOut, tokenizer }: PreparedRun, set: string | null): Promise<EvalRow[]> {
  const rows = heldOut(set);
  const before = encoded.get(rows);
  if (before !== undefined) return before;
  const made = Promise.all(
    rows.map(async ({ item, fields }): Promise<EvalRow> => {
      const [prompt = null] = await promptsOfItems([item], tokenizer);
      return {
        prompt: prompt?.prompt ?? null,
        reference: prompt?.reference ?? null,
        row: fields,
        ids: prompt?.ids ?? null,
      };
    }),
  );
  encoded.set(rows, made);
  return made;
}

/**
 * The model's answers, a batch of evaluation at a time; a prompt that leaves no room in the model's context has an empty one. Throws the
 * signal's reason between two tokens.
 */
export async function answersTo(
  { args, control, inputs, prepared, session }: ActiveRun,
  prompts: readonly EvalPrompt[],
  options: GenerationConfig,
): Promise<string[]> {
  const request = { config: parseOptions(generationConfigSchema, options), signal: control.signal, onAnswer: () => {} };
  const asked: { prompt: { ids: Int32Array } }[] = [];
  for (const [index, prompt] of prompts.entries()) {
    const ids = typeof prompt === "string" ? (await promptsOfTexts([prompt], prepared.tokenizer))[0]?.ids : prompt?.ids;
    if (!(ids instanceof Int32Array) || ids.length === 0)
      throw new ArgumentError(
        `[generate] expected a row with a prompt or a text at place ${index}, got none; leave it out`,
      );
    asked.push({ prompt: { ids } });
  }
  const answers: string[] = [];
  for (let start = 0; start < asked.length; start += args.perDeviceEvalBatchSize) {
    const batch = asked.slice(start, start + args.perDeviceEvalBatchSize);
    for (const answer of await answersOf(session, batch, inputs.model, request)) answers.push(answer?.text ?? "");
  }
  return answers;
}
