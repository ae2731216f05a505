// The best rows of a data set, by what a model says of their answers too.
import {
  DataError,
  type LanguageModel,
  OptionError,
  type OptionKeys,
  type ParsedSFTConfig,
  parseKeys,
  parseOptions,
  type SFTConfig,
  sftConfigSchema,
} from "@tunesmith/core";
import {
  type DatasetSource,
  type RowObject,
  type RowScore,
  type RowScorer,
  type SelectedRows,
  selectRows as selectByScore,
} from "@tunesmith/data";
import { prepareRows, rowScores, withinContext, withPreset } from "@tunesmith/trainer";

/** Which rows are selected. */
export interface SelectRowsOptions {
  /**
   * `length`: characters of the answers, since long ones teach more (Zhao et al. 2024). `loss`: loss of the answers by the model, so that
   * the hardest are kept. `ifd`: loss of the answers with their prompts over the loss without (Li et al. 2023); rows of 1 and more, whose
   * prompts do not help, are left out. Or a function: the highest scores are kept, rows whose score is NaN left out.
   */
  by: "length" | "loss" | "ifd" | RowScore;
  /** Share of the rows that is kept, below 1, or how many. */
  keep: number;
  /** The model that `loss` and `ifd` ask. Default: none. */
  model?: LanguageModel;
  /** Options of the run, which say how rows are read and what of them is trained. Default: none set. */
  args?: SFTConfig;
}

const keys: OptionKeys<SelectRowsOptions> = {
  by: "required",
  keep: "required",
  model: "optional",
  args: "optional",
};

/**
 * The rows of a data set with the highest scores, in the order of the set; of equal ones the earlier. What it gives is a data set: rows
 * are read and scored when it is first read, one by one, those of an iterable kept in memory. A row that cannot be used is passed on, so
 * that training names it.
 */
export function selectRows(dataset: DatasetSource, options: SelectRowsOptions): SelectedRows {
  const { by, keep, model, args: given = {} } = parseKeys(keys, options, "selectRows");
  const { args } = withPreset(given, {}, model ?? null);
  if (by !== "loss" && by !== "ifd") return selectByScore(dataset, { by, keep, args });
  if (model === undefined)
    throw new OptionError(`[selectRows] expected a model to ask for by: "${by}", got none; give model`);
  const parsed = withinContext(parseOptions(sftConfigSchema, { ...args, onBadRow: "error" }), model, []);
  return selectByScore(dataset, { by: scorer(by, model, parsed), keep });
}

function scorer(by: "loss" | "ifd", model: LanguageModel, args: ParsedSFTConfig): RowScorer {
  return {
    async open() {
      const session = await model.createGenerator();
      const score = async (row: RowObject) => {
        const example = await exampleOf(row, model, args);
        if (example === null) return null;
        const rows = { length: 1, at: () => [example] };
        const { scores } = await rowScores(session, rows, { difficulty: by, tokenBudget: args.tokenBudget });
        const found = scores[0] as number;
        // Where the prompt does not help, the answer may well belong to another one.
        const isLeftOut = !Number.isFinite(found) || (by === "ifd" && found >= 1);
        return isLeftOut ? Number.NaN : found;
      };
      return { score, close: async () => session[Symbol.asyncDispose]() };
    },
  };
}

/** A row as it is trained; null where it cannot be. */
async function exampleOf(row: RowObject, { tokenizer, info }: LanguageModel, args: ParsedSFTConfig) {
  const request = { source: [row], name: "row", keepItems: 0, formattingFunc: null };
  const reader = { tokenizer, vocabSize: info.vocabSize };
  try {
    return (await prepareRows(request, reader, args, new AbortController().signal)).examples.at(0);
  } catch (cause) {
    if (cause instanceof DataError) return null;
    throw cause;
  }
}
