// The batches that the options of a run ask for, of rows that are all known.
import { OptionError, type ParsedTrainingArguments } from "@tunesmith/core";
import { createSampler, customSampler, type SamplerFactory, type SamplerRow } from "@tunesmith/curriculum";
import { batchLimit, rowsPerBatch } from "./batch-room.ts";
import { EpochBatchSampler } from "./epoch-batch-sampler.ts";

/** The rows that batches are made of, as far as their order depends on them. */
export interface OrderedRows {
  /** Tokens of each. */
  lengths: ArrayLike<number>;
  /** What is known of one of them. */
  facts(row: number): SamplerRow;
}

/**
 * The batches that the options of a run ask for, and what the user should know of their order.
 *
 * @param factory makes the order in place of `trainSamplingStrategy`
 */
export async function epochBatches(
  args: ParsedTrainingArguments,
  rows: OrderedRows,
  factory: SamplerFactory | null = null,
): Promise<{ batches: EpochBatchSampler; warnings: readonly string[] }> {
  const { seed, numTrainEpochs, maxSteps, gradientAccumulationSteps: accumulation, difficultySteps } = args;
  const { lengths } = rows;
  const limit = batchLimit(args);
  const batchSize = rowsPerBatch(limit, lengths) * accumulation;
  const fixedBatches = limit.tokens === Number.POSITIVE_INFINITY;
  const context = { lengths, seed, batchSize, fixedBatches, row: (index: number) => rows.facts(index) };
  const sampler =
    factory === null
      ? await createSampler({ ...args, strategy: args.trainSamplingStrategy, reverse: args.reverseCurriculum }, context)
      : await customSampler(factory, context);
  if (sampler.measures !== undefined && !fixedBatches)
    throw new OptionError(
      `[maxTokensPerBatch] expected none with rows ordered by ${sampler.measures}, which is measured after the number of steps is planned, got ${args.maxTokensPerBatch}; give perDeviceTrainBatchSize`,
    );
  const batches = await EpochBatchSampler.of({ sampler, lengths, limit, accumulation, numTrainEpochs, maxSteps });
  const idle =
    factory !== null && difficultySteps !== null && sampler.measures === undefined
      ? [`difficultySteps ${difficultySteps} has no effect: sampler has nothing measured`]
      : [];
  return { batches, warnings: [...sampler.warnings, ...idle, ...batches.neverReached()] };
}
