// GSM8K as conversations, response-only labels: the rows of the training benchmarks.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Tokenizer } from "@tunesmith/core";
import { prepare } from "@tunesmith/data";
import type { Spec } from "./spec.ts";

/** GSM8K as conversations, response-only labels: the rows of the training benchmarks. */
export async function gsm8k(fixtures: string, count: number, tokenizer: Tokenizer): Promise<Spec["rows"]> {
  const path = join(fixtures, "data/gsm8k-train.jsonl");
  if (!existsSync(path))
    throw new Error(`[cpu-sft] expected GSM8K rows in ${path}, got no such file; set TUNESMITH_FIXTURES`);
  const lines = readFileSync(path, "utf8").split("\n").slice(0, count);
  const rows = lines.map((line) => {
    const { question, answer } = JSON.parse(line) as { question: string; answer: string };
    return {
      messages: [
        { role: "user", content: question },
        { role: "assistant", content: answer },
      ],
    };
  });
  const options = {
    name: "gsm8k",
    datasetFormat: "messages",
    datasetTextField: "text",
    maxLength: 1024,
    assistantOnlyLoss: true,
    completionOnlyLoss: null,
  } as const;
  const { examples } = await prepare(rows, tokenizer, options);
  return Array.from(examples, ({ ids, labels }) => ({ input_ids: [...ids], labels: [...labels] }));
}
