// The batches that the options of a run ask for, of rows that are all known.
import { OptionError, type ParsedTrainingArguments, plural } from "@tunesmith/core";
import {
  createSampler,
  customSampler,
  type Sampler,
  type SamplerFactory,
  type SamplerRow,
} from "@tunesmith/curriculum";
import { batchLimit, rowsPerBatch } from "./batch-room.ts";
import { EpochBatchSampler } from "./epoch-batch-sampler.ts";

/** The rows that batches are made of, as far as their order depends on them. */
export interface OrderedRows {
  /** Tokens of each. */
  lengths: ArrayLike<number>;
  /** What is known of one of them. */
  facts(row: number): SamplerRow;
}

/** Makes of an order of rows another one, such as one in which rows are repeated. */
export interface Arrangement {
  /** The order that batches are cut from. */
  arrange(sampler: Sampler): Sampler;
  /** Rows of the order before that an optimizer step takes, on average. */
  rowsPerStep: number;
}

/**
 * The batches that the options of a run ask for, and what the user should know of their order.
 *
 * @param factory makes the order in place of `trainSamplingStrategy`
 * @param arrangement of that order. Default: none, it is taken as it is
 */
export async function epochBatches(
  args: ParsedTrainingArguments,
  rows: OrderedRows,
  factory: SamplerFactory | null = null,
  arrangement: Arrangement | null = null,
): Promise<{ batches: EpochBatchSampler; warnings: readonly string[] }> {
  const { numTrainEpochs, maxSteps, gradientAccumulationSteps: accumulation, difficultySteps } = args;
  const seed = args.dataSeed ?? args.seed;
  const { lengths } = rows;
  const limit = batchLimit(args);
  const batchSize = arrangement?.rowsPerStep ?? rowsPerBatch(limit, lengths) * accumulation;
  const fixedBatches = limit.tokens === Number.POSITIVE_INFINITY;
  const context = { lengths, seed, batchSize, fixedBatches, row: (index: number) => rows.facts(index) };
  const given = await (factory === null ? usualSampler(args, context) : customSampler(factory, context));
  const sampler = arrangement === null ? given : arrangement.arrange(given);
  const dropLast = args.dataloaderDropLast && fixedBatches;
  if (dropLast && sampler.size(0) < limit.rows)
    throw new OptionError(
      `[dataloaderDropLast] expected at least one micro-batch of ${plural(limit.rows, "row")} in an epoch, got ${plural(sampler.size(0), "row")}; lower perDeviceTrainBatchSize, or leave it out`,
    );
  if (sampler.measures !== undefined && !fixedBatches)
    throw new OptionError(
      `[maxTokensPerBatch] expected none with rows ordered by ${sampler.measures}, which is measured after the number of steps is planned, got ${args.maxTokensPerBatch}; give perDeviceTrainBatchSize`,
    );
  const options = { sampler, lengths, limit, accumulation, numTrainEpochs, maxSteps, dropLast };
  const batches = await EpochBatchSampler.of(options);
  const idle =
    factory !== null && difficultySteps !== null && sampler.measures === undefined
      ? [`difficultySteps ${difficultySteps} has no effect: sampler has nothing measured`]
      : [];
  return { batches, warnings: [...sampler.warnings, ...idle, ...batches.neverReached()] };
}

async function usualSampler(
  args: ParsedTrainingArguments,
  context: Parameters<typeof createSampler>[1],
): Promise<Sampler> {
  const options = { ...args, strategy: args.trainSamplingStrategy, reverse: args.reverseCurriculum };
  if (args.trainSamplingStrategy !== "sequential" || !("shuffleDataset" in args && args.shuffleDataset === true))
    return createSampler(options, context);
  // The rows themselves are shuffled, once (TRL).
  const random = await createSampler({ ...options, strategy: "random" }, context);
  return { warnings: random.warnings, size: () => random.size(0), epoch: () => random.epoch(0) };
}
