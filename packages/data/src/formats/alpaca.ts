// Rows of instructions as Stanford's Alpaca wrote them.
import type { Message } from "@tunesmith/core";
import { pairKind } from "../encode/pair.ts";
import { describe, entriesOf, type Format, isFilled, listOrText, RowError, stringField, wellFormed } from "./format.ts";
import { conversationItem, messages } from "./messages.ts";
import { withEnvelopes } from "./sharegpt.ts";

type Fields = Readonly<Record<string, unknown>>;

/**
 * Columns `instruction` and `output`, optional `input`, `system` and `history` (earlier turns as [prompt, answer], as LLaMA-Factory
 * has them) and `tools`. A row becomes a conversation whose user turn is the instruction and, in a new line, the input. Where the tokenizer has
 * no chat template it is a prompt in the words of Stanford's Alpaca (github.com/tatsu-lab/stanford_alpaca, train.py) and its
 * completion.
 */
export const alpaca: Format = {
  name: "alpaca",
  columns: () => ["instruction", "output"],
  optionalColumns: ["input", "system", "history", ...messages.optionalColumns],
  read(row, { hasChatTemplate }) {
    const { fields } = row;
    const turn: Turn = { instruction: stringField(fields, "instruction"), input: optionalText(fields, "input") };
    const history = readHistory(isFilled(fields.history) ? listOrText(fields.history, "history") : []);
    const system = optionalText(fields, "system");
    const output = stringField(fields, "output");
    if (!hasChatTemplate)
      return { kind: pairKind, value: { prompt: stanford(turn, history, system), completion: output } };
    const { instruction, input } = turn;
    const question = [instruction, input].filter((part) => part !== "").join("\n");
    const turns: Message[] = system === "" ? [] : [{ role: "system", content: system }];
    for (const [asked, answer] of [...history, [question, output]])
      turns.push({ role: "user", content: asked as string }, { role: "assistant", content: answer as string });
    return withEnvelopes(conversationItem(turns, row, 0));
  },
};

/** What is asked in one row. */
interface Turn {
  instruction: string;
  /** Empty for none. */
  input: string;
}

type Exchange = readonly [prompt: string, answer: string];

const opening = {
  plain:
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n",
  withInput:
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n",
};

/** The prompt of Stanford's Alpaca. A system text takes the place of its first sentences; earlier exchanges have its form. */
function stanford({ instruction, input }: Turn, history: readonly Exchange[], system: string): string {
  const first = system === "" ? opening[input === "" ? "plain" : "withInput"] : `${system}\n\n`;
  const earlier = history
    .map(([prompt, answer]) => `### Instruction:\n${prompt}\n\n### Response:${answer}\n\n`)
    .join("");
  const context = input === "" ? "" : `### Input:\n${input}\n\n`;
  return `${first}${earlier}### Instruction:\n${instruction}\n\n${context}### Response:`;
}

/** A text that may be absent or null: empty then. */
function optionalText(fields: Fields, column: string): string {
  return (fields[column] ?? null) === null ? "" : stringField(fields, column);
}

function readHistory(value: unknown): Exchange[] {
  if (!Array.isArray(value))
    throw new RowError(`expected a list of [prompt, answer] in column "history", got ${describe(value)}; correct it`);
  return entriesOf(value, (entry, index): Exchange => {
    const [prompt, answer, ...others] = Array.isArray(entry) ? entry : [];
    if (typeof prompt !== "string" || typeof answer !== "string" || others.length > 0)
      throw new RowError(
        `expected two texts, [prompt, answer], in history[${index}], got ${describe(entry)}; correct or remove it`,
      );
    return [wellFormed(prompt, `history[${index}][0]`), wellFormed(answer, `history[${index}][1]`)];
  });
}
