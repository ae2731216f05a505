// Rows to evaluate on: what is scored of each, its prompt, and the group that it belongs to.
import {
  asNumber,
  DataError,
  type LanguageModel,
  type ParsedSFTConfig,
  slices,
  withConversationOptions,
  writeExact,
} from "@tunesmith/core";
import {
  type DataReport,
  type DatasetSource,
  type Example,
  type FormattingFunc,
  promptsOfItems,
  type Row,
  type SamplePrompt,
} from "@tunesmith/data";
import { dataWarnings } from "../sft/data-warnings.ts";
import { prepareRows, withinContext } from "../sft/prepare.ts";

/** A row to evaluate on. */
export interface EvaluatedRow {
  example: Example;
  /** `FILE:LINE`. */
  place: string;
  /** As it was read. */
  fields: Row["fields"];
  /** What is asked and what the row says the answer is; null for a text without a prompt, and where no answers are wanted. */
  prompt: SamplePrompt | null;
  /** Value of the column `groupBy`; null without one. */
  group: string | null;
}

/** Where they come from. */
export interface RowsToEvaluate {
  dataset: DatasetSource;
  formattingFunc: FormattingFunc | null;
  args: ParsedSFTConfig;
  groupBy: string | null;
  /** Whether prompts are wanted. */
  prompts: boolean;
}

/** All rows of a data set that are scored, read as a run would read them. Rejects with `DataError` as a run does. */
export async function rowsToEvaluate(
  { dataset, formattingFunc, args: given, groupBy, prompts }: RowsToEvaluate,
  model: LanguageModel,
  signal: AbortSignal,
): Promise<{ rows: EvaluatedRow[]; report: DataReport; warnings: string[] }> {
  const warnings: string[] = [];
  // Rows are needed themselves, which a cache of examples does not have.
  const args = { ...withinContext(given, model, warnings), loadFromCacheFile: false };
  const tokenizer = withConversationOptions(model.tokenizer, { sanitizeControlTokens: args.sanitizeControlTokens });
  const keepItems = Number.MAX_SAFE_INTEGER;
  const request = { source: dataset, name: "evalDataset", keepItems, formattingFunc };
  const data = await prepareRows(request, { tokenizer, vocabSize: model.info.vocabSize }, args, signal);
  const rows: EvaluatedRow[] = [];
  for (const [n, { fields }] of data.rows.entries()) {
    signal.throwIfAborted();
    const example = data.examples.at(n);
    const [prompt = null] = prompts ? await promptsOfItems(data.items.slice(n, n + 1), tokenizer) : [];
    rows.push({ example, place: data.locate(example.rowId), fields, prompt, group: groupOf(fields, groupBy) });
    if (slices.isOver) await slices.turn();
  }
  if (groupBy !== null) refuseWithoutColumn(data.rows, groupBy);
  return { rows, report: data.report, warnings: [...warnings, ...dataWarnings(data.report)] };
}

/** Rows that lack the column are a group of their own. */
function groupOf(fields: Row["fields"], column: string | null): string | null {
  if (column === null) return null;
  const value = fields[column] ?? null;
  if (value === null) return "(none)";
  return typeof value === "string" ? value : String(asNumber(value) ?? writeExact(value));
}

function refuseWithoutColumn(rows: readonly Row[], column: string): void {
  if (rows.some(({ fields }) => Object.hasOwn(fields, column))) return;
  const columns = Object.keys(rows[0]?.fields ?? {}).join(", ");
  throw new DataError(`[groupBy] expected a column of the rows, got "${column}"; they have ${columns}`);
}
