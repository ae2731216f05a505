// Which completions of which generation each step trains on.
import { OptionError, type ParsedGRPOConfig, plural } from "@tunesmith/core";
import { forGenerations, type SamplerFactory, shuffledCompletions } from "@tunesmith/curriculum";
import type { BatchSampler, StepBatches, StepPlace } from "../loop/batch-sampler.ts";
import type { EpochBatchSampler } from "../loop/epoch-batch-sampler.ts";
import { epochBatches, type OrderedRows } from "../loop/epoch-batches.ts";
import { type GenerationSizes, generationSizes } from "./generation-sizes.ts";

/** A generation by its number, and the rows whose prompts are answered in it. */
export interface GenerationPlan {
  /** From 0, over all epochs. */
  generation: number;
  /** Indices of rows, one per prompt; each has `numGenerations` completions next to each other. */
  prompts: Int32Array;
}

/** The completions of one micro-batch. */
export interface GenerationSlice extends GenerationPlan {
  /** Places of its completions in the generation. */
  places: Int32Array;
}

/** Places of a generation's completions in the order in which micro-batches take them. */
export type CompletionOrder = (completions: number, generation: number) => Int32Array;

/** Generations of an epoch, cut into micro-batches: a pure function of the step. */
export class GenerationBatches implements BatchSampler {
  readonly sizes: GenerationSizes;
  readonly #batches: EpochBatchSampler;
  readonly #order: CompletionOrder;

  constructor(batches: EpochBatchSampler, sizes: GenerationSizes, order: CompletionOrder) {
    this.#batches = batches;
    this.sizes = sizes;
    this.#order = order;
  }

  get totalSteps(): number {
    return this.#batches.totalSteps;
  }

  at(step: number): StepPlace {
    return this.#batches.at(step);
  }

  epochEnds(done: number): number {
    return this.#batches.epochEnds(done);
  }

  async *steps(done: number): AsyncGenerator<StepBatches, undefined> {
    for await (const { microBatches: _, ...place } of this.#batches.steps(done)) {
      const slices = await this.slicesOf(place.step);
      yield { ...place, microBatches: slices.map((slice) => this.#rowsOf(slice)) };
    }
  }

  /** The completions of a step's micro-batches. */
  async slicesOf(step: number): Promise<GenerationSlice[]> {
    const {
      generationBatchSize: size,
      stepsPerGeneration,
      promptsPerGeneration,
      numGenerations,
      numIterations,
    } = this.sizes;
    const { epoch, microBatch, count } = this.#batches.placeOf(step);
    const order = await this.#batches.orderAt(step);
    const repeats = stepsPerGeneration * numIterations;
    const rows = size / stepsPerGeneration;
    const before = this.#generationsBefore(epoch);
    return Array.from({ length: count }, (_, n) => {
      const place = microBatch + n;
      const chunk = Math.floor(place / repeats);
      const generation = before + chunk;
      const first = chunk * repeats * size;
      const prompts = Int32Array.from(
        { length: promptsPerGeneration },
        (_, prompt) => order[first + prompt * numGenerations] as number,
      );
      const from = (place % stepsPerGeneration) * rows;
      const places = this.#order(size, generation).slice(from, from + rows);
      return { generation, prompts, places };
    });
  }

  /** Rows of the data set that completions are of. */
  #rowsOf({ prompts, places }: GenerationSlice): Int32Array {
    return places.map((place) => prompts[Math.floor(place / this.sizes.numGenerations)] as number);
  }

  #generationsBefore(epoch: number): number {
    const { generationBatchSize, stepsPerGeneration, numIterations } = this.sizes;
    let before = 0;
    for (let n = 0; n < epoch; n += 1)
      before += this.#batches.sizeOf(n) / (generationBatchSize * stepsPerGeneration * numIterations);
    return before;
  }
}

/**
 * The generations that the options of a run ask for. Fewer rows than one generation has prompts are an `OptionError`.
 *
 * @param factory makes the order of the prompts in place of `trainSamplingStrategy`
 * @param order of the completions of a generation. Default: shuffled by the seed
 */
export async function generationBatches(
  given: ParsedGRPOConfig,
  rows: OrderedRows,
  factory: SamplerFactory | null = null,
  order: CompletionOrder = (completions, generation) =>
    shuffledCompletions(completions, given.dataSeed ?? given.seed, generation),
): Promise<{ batches: GenerationBatches; warnings: readonly string[] }> {
  const sizes = generationSizes(given);
  const { generationBatchSize: size, promptsPerGeneration: prompts, numGenerations: samples, numIterations } = sizes;
  // As in TRL, a micro-batch takes as much of the order as a generation has, and of that its own share.
  const args = {
    ...given,
    perDeviceTrainBatchSize: size,
    ...(!given.shuffleDataset && { trainSamplingStrategy: "sequential" as const }),
    shuffleDataset: false,
  };
  const repeats = sizes.stepsPerGeneration * numIterations;
  const arrange: NonNullable<Parameters<typeof epochBatches>[3]>["arrange"] = (sampler) => {
    if (sampler.measures !== undefined)
      throw new OptionError(
        `[difficulty] expected length or turns, for prompts have no answer to measure, got ${sampler.measures}; choose one of them`,
      );
    if (sampler.size(0) < prompts)
      throw new OptionError(
        `[trainDataset] expected at least ${plural(prompts, "row")}, the prompts of a generation of ${plural(size, "completion")}, got ${sampler.size(0)}; add rows, or lower stepsPerGeneration, perDeviceTrainBatchSize or generationBatchSize so that numGenerations ${samples} · ${plural(sampler.size(0), "row")} = ${samples * sampler.size(0)} is reached`,
      );
    return forGenerations(sampler, { prompts, samples, repeats });
  };
  const rowsOfStep = (args.gradientAccumulationSteps * prompts) / repeats;
  const arrangement = { arrange, rowsPerStep: Math.max(1, Math.round(rowsOfStep)) };
  const { batches, warnings } = await epochBatches(args, rows, factory, arrangement);
  const left = rows.lengths.length % prompts;
  const dropped =
    left === 0 || factory !== null
      ? []
      : [
          `${left} of ${plural(rows.lengths.length, "row")} are not answered in an epoch: a generation has ${plural(prompts, "prompt")}, and an incomplete one is left out${given.shuffleDataset ? "; which ones changes from epoch to epoch" : ""}`,
        ];
  return {
    batches: new GenerationBatches(batches, sizes, order),
    warnings: [...warnings, ...dropped],
  };
}
