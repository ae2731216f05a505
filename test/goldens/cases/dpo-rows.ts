// `trl/dpo/rows.json`: preference rows as TRL's DPOTrainer tokenises, leaves out and cuts them.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LanguageModel } from "@tunesmith/core";
import { type Example, prepare } from "@tunesmith/data";
import { loadModel } from "@tunesmith/native";
import { attempt, measured, type Outcome } from "../outcome.ts";

interface Group {
  name: string;
  chat_template?: string;
  max_length?: number;
  rows: Record<string, unknown>[];
  tokenized: Record<"prompt_ids" | "chosen_ids" | "rejected_ids", number[]>[];
  kept: number[];
  prompt_ids_left_out: number[];
  collated_first_4_kept: Record<"input_ids" | "attention_mask" | "completion_mask", number[][]>;
}

/** `trl/dpo/rows.json`. */
export async function dpoRows(root: string): Promise<Outcome[]> {
  const path = join(root, "trl/dpo/rows.json");
  if (!existsSync(path)) return [];
  const { model: name, groups } = JSON.parse(readFileSync(path, "utf8")) as { model: string; groups: Group[] };
  const outcomes: Outcome[] = [];
  for (const group of groups)
    outcomes.push(...(await attempt(`trl/dpo/rows/${group.name}`, () => oneGroup(join(root, "models", name), group))));
  return outcomes;
}

async function oneGroup(folder: string, group: Group): Promise<Outcome[]> {
  const name = `trl/dpo/rows/${group.name}`;
  const { tokenizer } = await modelOf(folder, group.chat_template);
  const read = async (maxLength: number | null) => {
    const options = { datasetFormat: "auto", datasetTextField: "text", assistantOnlyLoss: true } as const;
    return prepare(group.rows, tokenizer, {
      name,
      task: "preference",
      maxLength,
      completionOnlyLoss: null,
      ...options,
    });
  };
  const whole = await read(null);
  const cut = await read(group.max_length ?? null);
  const wrong = group.tokenized.filter(({ prompt_ids: prompt, ...answers }, row) =>
    [answers.chosen_ids, answers.rejected_ids].some((answer, side) => {
      const example = whole.examples.at(2 * row + side);
      return !same(example.ids, [...prompt, ...answer]) || !same(trained(example), answer);
    }),
  );
  const left = group.prompt_ids_left_out.filter((count) => count > 0).length;
  const kept = [...cut.examples].filter((_, n) => n % 2 === 0).map(({ rowId }) => rowId);
  const { input_ids: ids, attention_mask: mask, completion_mask: answers } = group.collated_first_4_kept;
  const collated = ids.filter((row, n) => {
    // Chosen answers first, then the rejected ones.
    const pairs = ids.length / 2;
    const example = cut.examples.at(2 * (n % pairs) + (n < pairs ? 0 : 1));
    const where = (bits: readonly number[] | undefined) => row.filter((_, t) => bits?.[t] === 1);
    return !same(example.ids, where(mask[n])) || !same(trained(example), where(answers[n]));
  });
  return [
    measured(`${name}/tokenized`, wrong.length, 0),
    measured(`${name}/kept`, same(Int32Array.from(kept), group.kept) ? 0 : 1, 0),
    measured(`${name}/prompt_ids_left_out`, Math.abs(whole.report.prefixMismatches - left), 0),
    measured(`${name}/collated`, collated.length, 0),
  ];
}

/** The model of a folder, or a copy of it whose own template is another. */
async function modelOf(folder: string, template: string | undefined): Promise<LanguageModel> {
  if (template === undefined) return loadModel(folder, { device: "cpu" });
  const copy = mkdtempSync(join(tmpdir(), "tunesmith-template-"));
  try {
    cpSync(folder, copy, { recursive: true });
    const path = join(copy, "chat_template.jinja");
    rmSync(path, { force: true });
    writeFileSync(path, template);
    return await loadModel(copy, { device: "cpu" });
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function same(got: Int32Array, expected: readonly number[]): boolean {
  return got.join() === expected.join();
}

/** Ids that have a label. */
function trained({ ids, labels }: Example): Int32Array {
  return ids.filter((_, t) => (labels[t] ?? -1) >= 0);
}
