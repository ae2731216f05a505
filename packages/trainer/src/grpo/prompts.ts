// Rows of prompts, ready to be answered.
import { type Conversation, type Message, OptionError, type ParsedGRPOConfig, plural } from "@tunesmith/core";
import { type FormattingFunc, type PreparedData, type PrepareProgress, prepare } from "@tunesmith/data";
import type { RecipeInputs } from "../loop/recipe.ts";
import { reservedColumns } from "../rewards/reward.ts";

/** The prompt of a row. */
export interface PromptRow {
  /** As its row has it: a text, or messages. */
  prompt: string | readonly Message[];
  promptIds: Int32Array;
  /** Every other column. */
  columns: Readonly<Record<string, unknown>>;
  /** `source:line`. */
  place: string;
}

/** A data set of prompts. */
export interface Prompts {
  data: PreparedData;
  rows: readonly PromptRow[];
  /** Tokens of each prompt. */
  lengths: Int32Array;
}

/** Reads rows of prompts. Columns that reward functions have names for, and prompts that leave no room, are an `OptionError`. */
export async function readPrompts(
  { trainDataset, tokenizer, model, args, onPreparing }: RecipeInputs<ParsedGRPOConfig>,
  formattingFunc: FormattingFunc | null,
  signal: AbortSignal,
): Promise<Prompts> {
  const { datasetFormat, columns, maxRowBytes, onBadRow, maxPromptLength, maxCompletionLength } = args;
  const data = await prepare(trainDataset, tokenizer, {
    ...{ name: "trainDataset", task: "prompts", datasetFormat, columns, maxRowBytes, onBadRow, formattingFunc, signal },
    ...{ maxLength: maxPromptLength, lengthOption: "maxPromptLength", truncationMode: "drop" },
    ...{ datasetTextField: "text", assistantOnlyLoss: true, completionOnlyLoss: null },
    ...{ vocabSize: model.info.vocabSize, cache: null, keepItems: Number.MAX_SAFE_INTEGER },
    onProgress: (progress: PrepareProgress) => onPreparing("train", progress),
  });
  const longest = data.examples.lengths.reduce((most, length) => Math.max(most, length), 0);
  const room = model.info.maxPositionEmbeddings - longest;
  if (room < maxCompletionLength)
    throw new OptionError(
      `[maxCompletionLength] expected at most ${Math.max(0, room)} tokens beside the longest prompt of ${plural(longest, "token")} in the model's ${model.info.maxPositionEmbeddings}, got ${maxCompletionLength}; lower it, or leave long prompts out with maxPromptLength`,
    );
  const column = columns?.prompt ?? "prompt";
  const rows = Array.from(data.examples, ({ ids, rowId }, n): PromptRow => {
    const value = data.items[n]?.value as string | Conversation;
    const { [column]: _, ...others } = data.rows[n]?.fields ?? {};
    const place = data.locate(rowId);
    const taken = reservedColumns.find((name) => Object.hasOwn(others, name));
    if (taken !== undefined)
      throw new OptionError(
        `[trainDataset] expected columns that reward functions have no other use for, got "${taken}" (${place}); rename it`,
      );
    return { prompt: typeof value === "string" ? value : value.messages, promptIds: ids, columns: others, place };
  });
  const empty = rows.find(({ promptIds }) => promptIds.length === 0);
  if (empty !== undefined)
    throw new OptionError(`[trainDataset] expected prompts with a token, got an empty one (${empty.place}); remove it`);
  return { data, rows, lengths: data.examples.lengths };
}
