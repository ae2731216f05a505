// What a run would train on of a row: every token with its weight in the loss, and what a model says of it.
import {
  type Generator,
  type LanguageModel,
  type OptionKeys,
  parseKeys,
  parseOptions,
  type SFTConfig,
  sftConfigSchema,
  TextStream,
  type Tokenizer,
  withConversationOptions,
} from "@tunesmith/core";
import { collate, type DataReport, type DatasetSource, type Example, IGNORE_INDEX } from "@tunesmith/data";
import { dataWarnings, prepareRows, withinContext, withPreset, withTokenizerOptions } from "@tunesmith/trainer";

/** A token of a row as it is trained. */
export interface ExplainedToken {
  id: number;
  /** Its text; of a character of several tokens the last has all of it. */
  text: string;
  /** Whether it is a special token. */
  special: boolean;
  /** Loss weight, 0 where it is context only. */
  weight: number;
  /** −log p of the token by the model, in nats, whatever its weight; null for the first, and without a session. */
  loss: number | null;
}

/** A row as a run would see it. */
export interface ExplainedRow {
  /** `FILE:LINE`. */
  place: string;
  tokens: ExplainedToken[];
  /** Whether tokens beyond `maxLength` were cut off. */
  truncated: boolean;
}

/** Options of {@link explain}. */
export interface ExplainOptions {
  /** The model whose tokenizer and chat template are used. */
  model: LanguageModel;
  /** Options of the run. Default: none set. */
  args?: SFTConfig;
  /** A session of the model that gives the loss of each token. Default: none. */
  session?: Pick<Generator, "logProbs">;
}

/** Options of {@link explainRows}. */
export interface ExplainRowsOptions extends ExplainOptions {
  /** How many rows are explained, from the first that is trained on. Default 3. */
  examples?: number;
}

/** Rows as a run would see them, and what was found of all of them. */
export interface ExplainedRows {
  rows: ExplainedRow[];
  report: DataReport;
  /** SHA-256 of the chat template's text that rows are rendered from, hexadecimal; null where there is none. */
  chatTemplateSha256: string | null;
  /** What a run would warn of: rows that are skipped, left out or cut, what the template does not write. */
  warnings: string[];
}

const explainKeys: OptionKeys<ExplainRowsOptions> = {
  model: "required",
  args: "optional",
  session: "optional",
  examples: "optional",
};

/**
 * What a run would train on of one row. A row that cannot be used, or of which nothing is trained, is a `DataError` that says why.
 */
export async function explain(row: Record<string, unknown>, options: ExplainOptions): Promise<ExplainedRow> {
  const { rows } = await explainRows([row], { ...options, examples: 1 });
  return rows[0] as ExplainedRow;
}

/** The same for the first rows of a data set, which is prepared whole. */
export async function explainRows(source: DatasetSource, options: ExplainRowsOptions): Promise<ExplainedRows> {
  const { model: opened, args: given = {}, session, examples: count = 3 } = parseKeys(explainKeys, options, "explain");
  const warnings: string[] = [];
  // As a run does: within the model's context, with its template, with control tokens in texts as asked.
  const parsed = parseOptions(sftConfigSchema, withPreset(given, {}, opened).args);
  const model = await withTokenizerOptions(opened, parsed);
  const args = withinContext(parsed, model, warnings);
  const { sanitizeControlTokens } = args;
  const tokenizer = withConversationOptions(model.tokenizer, { sanitizeControlTokens });
  const request = { source, name: "rows", keepItems: 0, formattingFunc: null };
  const reader = { tokenizer, vocabSize: model.info.vocabSize };
  const data = await prepareRows(request, reader, args, new AbortController().signal);
  const rows: ExplainedRow[] = [];
  for (let n = 0; n < Math.min(count, data.examples.length); n += 1) {
    const example = data.examples.at(n);
    const losses = session === undefined ? null : await lossesOf(example, session);
    const tokens = tokensOf(example, tokenizer, losses);
    rows.push({ place: data.locate(example.rowId), tokens, truncated: example.truncated });
  }
  const { chatTemplateSha256 } = tokenizer.info;
  return { rows, report: data.report, chatTemplateSha256, warnings: [...warnings, ...dataWarnings(data.report)] };
}

/** −log p of every token but the first, as if all of them were trained. */
async function lossesOf(example: Example, session: Pick<Generator, "logProbs">): Promise<Float32Array> {
  const { weights: _, ...plain } = example;
  const whole = { ...plain, labels: example.ids.slice() };
  const { logProb } = await session.logProbs(collate([{ example: whole, microBatch: 0 }]));
  return logProb.map((value) => -value);
}

function tokensOf({ ids, labels, weights }: Example, tokenizer: Tokenizer, losses: Float32Array | null) {
  let stream = new TextStream(tokenizer);
  return Array.from(ids, (id, t): ExplainedToken => {
    const own = Int32Array.of(id);
    const name = tokenizer.decode(own, { skipSpecialTokens: false });
    const special = name !== "" && tokenizer.decode(own) === "";
    const text = special ? name : stream.push(id);
    if (special) stream = new TextStream(tokenizer);
    const weight = labels[t] === IGNORE_INDEX ? 0 : (weights?.[t] ?? 1);
    return { id, text, special, weight, loss: t === 0 ? null : (losses?.[t] ?? null) };
  });
}
