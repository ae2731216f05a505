// From rows to examples of supervised fine-tuning.
import { type LanguageModel, type ParsedSFTConfig, plural, sftConfigSchema, type Tokenizer } from "@tunesmith/core";
import { recommendEpochs } from "@tunesmith/curriculum";
import {
  type DatasetSource,
  ExampleStream,
  type FormattingFunc,
  type PreparedData,
  type PrepareProgress,
  prepare,
  tokenCacheFolder,
} from "@tunesmith/data";

/** What was not asked for is no reason to warn. */
const { maxLength: defaultLength } = sftConfigSchema.parse({});

/**
 * Rows longer than the model's context would leave the positions it was trained on. Adds a warning where that cuts a `maxLength` other
 * than the default.
 */
export function withinContext<Args extends Pick<ParsedSFTConfig, "maxLength">>(
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
  /** Makes of each row what a format reads; null for none. */
  formattingFunc: FormattingFunc | null;
  /** Told how far it is. Default: not told. */
  onProgress?: (progress: PrepareProgress) => void;
}

/** Bytes of rows from which a file is prepared once for all runs: fewer are tokenised in about a second. */
const leastCached = 4 << 20;

/** What rows become examples with. */
export interface RowsReader {
  tokenizer: Tokenizer;
  /** Rows of the model's embedding. */
  vocabSize: number;
}

/** Reads, checks, tokenises, labels and truncates rows as the options say. */
export async function prepareRows(
  { source, ...request }: RowsRequest,
  { tokenizer, vocabSize }: RowsReader,
  args: ParsedSFTConfig,
  signal: AbortSignal,
): Promise<PreparedData> {
  const cache = args.loadFromCacheFile ? { folder: tokenCacheFolder(), minBytes: leastCached } : null;
  return prepare(source, tokenizer, { ...request, signal, vocabSize, cache, ...rowOptions(args) });
}

/** The same rows, to be read while they are trained on. */
export function streamRows(
  { source, ...request }: RowsRequest,
  { tokenizer, vocabSize }: RowsReader,
  args: ParsedSFTConfig,
  signal: AbortSignal,
): ExampleStream {
  return new ExampleStream(source, tokenizer, { ...request, signal, vocabSize, ...rowOptions(args) });
}

function rowOptions(args: ParsedSFTConfig) {
  const { datasetFormat, columns, datasetTextField, onBadRow, maxRowBytes } = args;
  const { maxPromptLength, maxCompletionLength } = args;
  const { maxLength, truncationMode, assistantOnlyLoss, completionOnlyLoss, promptLossWeight } = args;
  const { trainOnResponsesOnly, lastResponseOnly, trainOnToolCalls, trainOnReasoning } = args;
  return {
    ...{ datasetFormat, columns, datasetTextField, onBadRow, maxRowBytes },
    ...{ maxPromptLength, maxCompletionLength },
    ...{ maxLength, truncationMode, assistantOnlyLoss, completionOnlyLoss, promptLossWeight },
    ...{ trainOnResponsesOnly, lastResponseOnly, trainOnToolCalls, trainOnReasoning },
  };
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
