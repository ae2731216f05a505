// The two sets of the curriculum benchmark: running totals, generated with known difficulty, and GSM8K.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { LanguageModel, Message } from "@tunesmith/core";
import { type Example, type PrepareOptions, prepare } from "@tunesmith/data";
import { runningTotals } from "./running-totals.ts";

/** A row as a trainer reads it. */
export type ConversationRow = { messages: Message[] };

/** A conversation that the model carries on by itself, with the one right answer that it comes to. */
export interface Question {
  system: string;
  /** What the user says, turn by turn. */
  turns: string[];
  answer: string;
  /** Its difficulty. */
  operations: number;
}

/** Rows to choose from and to order, and held-out ones. */
export interface TaskSet {
  name: string;
  rows: ConversationRow[];
  /** The rows as they are trained. */
  examples: readonly Example[];
  /** Held-out rows, the same for all runs. */
  heldOut: readonly Example[];
  /** Held-out questions that are answered and compared; null: loss alone is measured. */
  questions: Question[] | null;
  /** SHA-256 of what is trained and held out. */
  fingerprint: string;
}

/** As a trainer reads rows by itself: the assistant's turns are trained. */
const reading: PrepareOptions = {
  name: "rows",
  datasetFormat: "messages",
  datasetTextField: "text",
  maxLength: 1024,
  assistantOnlyLoss: true,
  completionOnlyLoss: null,
};

const sizes = { totals: { rows: 1200, heldOut: 60 }, gsm8k: { rows: 420, heldOut: 24 } } as const;

/** The sets that there are rows for; of one without is said why. */
export async function taskSets(model: LanguageModel): Promise<TaskSet[]> {
  const gsm8k = gsm8kRows(process.env.TUNESMITH_FIXTURES ?? "");
  if (gsm8k === null)
    console.log("gsm8k is left out: expected data/gsm8k-train.jsonl and gsm8k-test.jsonl under TUNESMITH_FIXTURES");
  const sets = [totalsRows(), ...(gsm8k === null ? [] : [gsm8k])];
  return Promise.all(
    sets.map(async ({ name, rows, held, questions }) => {
      const [train, heldOut] = [
        await prepare(rows, model.tokenizer, reading),
        await prepare(held, model.tokenizer, reading),
      ];
      const fingerprint = `${train.fingerprint} ${heldOut.fingerprint}`;
      const all = (from: typeof train) => Array.from(from.examples);
      return { name, rows, examples: all(train), heldOut: all(heldOut), questions, fingerprint };
    }),
  );
}

function totalsRows() {
  const taken = new Set<string>();
  const held = runningTotals(sizes.totals.heldOut, 7, 0, taken);
  const rows = runningTotals(sizes.totals.rows, 7, 1, taken).map(({ messages }) => ({ messages }));
  const questions = held.map(({ messages: [system, ...messages], total, operations }) => ({
    system: system?.content ?? "",
    turns: messages.flatMap(({ role, content }) => (role === "user" ? [content] : [])),
    answer: String(total),
    operations,
  }));
  return { name: "running totals", rows, held: held.map(({ messages }) => ({ messages })), questions };
}

/** The first problems of both files; null where they are not there. */
function gsm8kRows(fixtures: string) {
  const paths = { train: "data/gsm8k-train.jsonl", test: "data/gsm8k-test.jsonl" };
  const read = (path: string, count: number) =>
    readFileSync(join(fixtures, path), "utf8").split("\n").slice(0, count).map(conversation);
  if (fixtures === "" || !Object.values(paths).every((path) => existsSync(join(fixtures, path)))) return null;
  const [rows, held] = [read(paths.train, sizes.gsm8k.rows), read(paths.test, sizes.gsm8k.heldOut)];
  return { name: "gsm8k", rows, held, questions: null };
}

function conversation(line: string): ConversationRow {
  const { question, answer } = JSON.parse(line) as { question: string; answer: string };
  // Short, since every row carries it; with none at all the model's template would add a longer one.
  const system = { role: "system", content: "Solve the problem." };
  return {
    messages: [system, { role: "user", content: question }, { role: "assistant", content: answer }],
  };
}
