// The order of a run of supervised fine-tuning by how hard its model finds the rows.
import { OptionError, type ParsedSFTConfig, type Tokenizer } from "@tunesmith/core";
import { tokenCacheFolder } from "@tunesmith/data";
import type { EpochBatchSampler } from "../loop/epoch-batch-sampler.ts";
import { MeasuredOrder } from "../loop/measured-order.ts";
import type { ArrangedRows } from "./packing.ts";
import { rowScores } from "./row-scores.ts";

/** What is known where the order is made. */
interface Known {
  batches: EpochBatchSampler;
  args: ParsedSFTConfig;
  tokenizer: Pick<Tokenizer, "mapFile">;
}

/** What measures the rows as they are trained, without the program's collator; undefined where their order asks nothing of the model. */
export function measuredRows({ rows, data }: ArrangedRows, { batches, args, tokenizer }: Known) {
  const { measures } = batches;
  if (measures === null) return undefined;
  const { packing, packingStrategy, maxLength, tokenBudget, difficultySteps, loadFromCacheFile } = args;
  return new MeasuredOrder(measures, {
    ...{ batches, difficultySteps, tokenizer, rows: rows.length },
    cacheFolder: loadFromCacheFile ? tokenCacheFolder() : null,
    key: [data.fingerprint, packing ? [packingStrategy, maxLength] : null, tokenBudget],
    score: async (difficulty, context) => {
      const { allWhole, ...scores } = await rowScores(context.session, rows, { ...context, difficulty, tokenBudget });
      if (difficulty === "ifd" && allWhole)
        throw new OptionError(
          '[difficulty] expected rows of which a part is not trained for "ifd", which compares answers with and without their prompts, got rows that are trained whole (plain text, or promptLossWeight above 0); choose "loss"',
        );
      return scores;
    },
  });
}
