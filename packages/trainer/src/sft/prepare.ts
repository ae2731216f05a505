// From rows to examples of supervised fine-tuning, and what the user should know of them.
import { type LanguageModel, type ParsedSFTConfig, plural, sftConfigSchema, type Tokenizer } from "@tunesmith/core";
import { recommendEpochs } from "@tunesmith/curriculum";
import { type DatasetSource, type NotedRows, type PreparedData, prepare } from "@tunesmith/data";

/** What was not asked for is no reason to warn. */
const { maxLength: defaultLength } = sftConfigSchema.parse({});

/**
 * Rows longer than the model's context would leave the positions it was trained on. Adds a warning where that cuts a `maxLength` other
 * than the default.
 */
export function withinContext<Args extends ParsedSFTConfig>(
  args: Args,
  { info }: LanguageModel,
  warnings: string[],
): Args {
  const context = info.maxPositionEmbeddings;
  if (args.maxLength !== null && args.maxLength <= context) return args;
  if (args.maxLength !== null && args.maxLength !== defaultLength)
    warnings.push(`maxLength ${args.maxLength} is beyond the model's context of ${context} tokens; ${context} is used`);
  return { ...args, maxLength: context };
}

/** Where rows come from, and what is kept of them. */
export interface RowsRequest {
  source: DatasetSource;
  /** How an in-memory source is called in errors. */
  name: string;
  /** How many of the first rows are kept as text. */
  keepItems: number;
}

/** Reads, checks, tokenises, labels and truncates rows as the options say. */
export async function prepareRows(
  { source, name, keepItems }: RowsRequest,
  { tokenizer, vocabSize }: { tokenizer: Tokenizer; vocabSize: number },
  args: ParsedSFTConfig,
  signal: AbortSignal,
): Promise<PreparedData> {
  return prepare(source, tokenizer, { name, keepItems, signal, vocabSize, ...rowOptions(args) });
}

function rowOptions(args: ParsedSFTConfig) {
  const { datasetFormat, columns, datasetTextField, onBadRow, maxRowBytes } = args;
  const { maxLength, assistantOnlyLoss, completionOnlyLoss } = args;
  return {
    ...{ datasetFormat, columns, datasetTextField, onBadRow, maxRowBytes },
    ...{ maxLength, assistantOnlyLoss, completionOnlyLoss },
  };
}

/** What rows lost on their way, in words. */
export function dataWarnings({ report }: PreparedData): string[] {
  const warnings: string[] = [];
  const { source, rows, skipped, dropped, truncated, truncatedReplies, prefixMismatches, duplicates } = report;
  if (skipped.count > 0) {
    const named = skipped.first.map(({ place, reason }) => `\n  ${place}: ${reason}`).join("");
    const rest = skipped.count > skipped.first.length ? `\n  … and ${skipped.count - skipped.first.length} more` : "";
    warnings.push(
      `${source}: ${plural(skipped.count, "row")} cannot be used and ${skipped.count === 1 ? "is" : "are"} skipped:${named}${rest}`,
    );
  }
  if (dropped.length > 0) {
    const lines = dropped
      .slice(0, 10)
      .map(({ line }) => line)
      .join(", ");
    warnings.push(
      `${source}: ${dropped.length} of ${rows} rows are left out (lines ${lines}${dropped.length > 10 ? ", …" : ""}): ${dropped[0]?.reason}`,
    );
  }
  if (truncated > 0)
    warnings.push(
      `${source}: ${truncated} of ${rows} rows are longer than maxLength and were cut; ${truncatedReplies} of them lost trained tokens`,
    );
  if (prefixMismatches > 0)
    warnings.push(
      `${source}: in ${plural(prefixMismatches, "row")} one token spans the end of the prompt; end prompts where a word ends`,
    );
  for (const { name, ...noted } of report.notWritten)
    warnings.push(
      `${source}: the chat template leaves out ${name} of ${inRows(noted)}: the model never sees it; use a template that writes it, or take it out of the rows`,
    );
  for (const { name, ...noted } of report.controlTokens)
    warnings.push(
      `${source}: a text holds the control token ${name} in ${inRows(noted)}, where it is no text but the token; remove it, or set sanitizeControlTokens`,
    );
  if (duplicates > 0) warnings.push(`${source}: exact duplicates of earlier rows: ${duplicates} of ${rows}`);
  return warnings;
}

/** How many rows, and which. */
function inRows({ rows, lines }: Omit<NotedRows, "name">): string {
  const named = lines.map((line) => `line ${line}`).join(", ");
  return `${plural(rows, "row")} (${named}${rows > lines.length ? ", …" : ""})`;
}

/** Far more passes than a data set of this size needs teach its rows by heart. */
export function epochWarnings({ numTrainEpochs: epochs, maxSteps }: ParsedSFTConfig, rows: number): string[] {
  const { min, max } = recommendEpochs(rows);
  if (maxSteps > 0 || epochs <= 2 * max) return [];
  const usual = min === max ? `${max}` : `${min}–${max}`;
  return [
    `numTrainEpochs ${epochs} is far above the ${usual} that ${plural(rows, "row")} usually take ` +
      "(rows: epochs; 100–1K: 3–5, 1K–10K: 1–3, 10K–100K: 1, 100K+: 0.5–1); watch for overfitting with an evaluation set, or lower it",
  ];
}
