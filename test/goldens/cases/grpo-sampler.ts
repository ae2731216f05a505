// `trl/grpo/sampler.json`: which completions of which generation each step of GRPOTrainer trains on.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { grpoConfigSchema, OptionError, parseOptions } from "@tunesmith/core";
import { forGenerations } from "@tunesmith/curriculum";
import { type GenerationBatches, generationBatches } from "../../../packages/trainer/src/grpo/generation-batches.ts";
import { generationSizes } from "../../../packages/trainer/src/grpo/generation-sizes.ts";
import { attempt, measured, type Outcome } from "../outcome.ts";

type Options = Record<string, unknown>;

interface SamplerCase extends Options {
  dataset_size: number;
  resolved: Record<"generation_batch_size" | "steps_per_generation" | "prompts_per_generation", number>;
  order_of_an_epoch: number[];
  optimizer_steps?: number;
  generations?: number[][];
  micro_batches?: { optimizer_step: number; generation: number; size: number }[];
}

interface ShuffledCase {
  dataset_size: number;
  prompts_per_generation: number;
  num_generations: number;
  repeats: number;
}

/** `trl/grpo/sampler.json`. */
export async function grpoSampler(root: string): Promise<Outcome[]> {
  const path = join(root, "trl/grpo/sampler.json");
  if (!existsSync(path)) return [];
  const { cases, refused, shuffled } = JSON.parse(readFileSync(path, "utf8")) as {
    cases: SamplerCase[];
    refused: { options: Options }[];
    shuffled: ShuffledCase[];
  };
  const name = "trl/grpo/sampler.json";
  const outcomes: Outcome[] = [];
  for (const [index, entry] of cases.entries())
    outcomes.push(...(await attempt(`${name}/${index}`, () => oneCase(`${name}/${index}`, entry))));
  const accepted = refused.filter(({ options }) => !refuses(options)).length;
  outcomes.push(measured(`${name}/refused`, accepted, 0));
  for (const [index, entry] of shuffled.entries())
    outcomes.push(
      ...(await attempt(`${name}/shuffled-${index}`, () => ofShuffled(`${name}/shuffled-${index}`, entry))),
    );
  return outcomes;
}

function refuses(options: Options): boolean {
  try {
    generationSizes(parseOptions(grpoConfigSchema, options));
    return false;
  } catch (error) {
    if (error instanceof OptionError) return true;
    throw error;
  }
}

const wrong = (isRight: boolean) => (isRight ? 0 : 1);
const equal = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

function batchesOf(rows: number, options: Options) {
  const args = parseOptions(grpoConfigSchema, options);
  const facts = (row: number) => ({ length: 1, turns: 1, trainedTokens: 0, rowIds: [row] });
  return generationBatches(args, { lengths: new Int32Array(rows).fill(1), facts });
}

async function oneCase(name: string, entry: SamplerCase): Promise<Outcome[]> {
  const { dataset_size: rows, resolved, order_of_an_epoch: order, optimizer_steps: steps, ...rest } = entry;
  const { generations: expected = [], micro_batches: microBatches = [], ...options } = rest;
  const sizes = generationSizes(parseOptions(grpoConfigSchema, options));
  const { generationBatchSize, stepsPerGeneration, promptsPerGeneration, numGenerations, numIterations } = sizes;
  const isResolved =
    generationBatchSize === resolved.generation_batch_size &&
    stepsPerGeneration === resolved.steps_per_generation &&
    promptsPerGeneration === resolved.prompts_per_generation;
  const plain = {
    size: () => rows,
    epoch: async () => Int32Array.from({ length: rows }, (_, n) => n),
    warnings: [],
  };
  const repeats = stepsPerGeneration * numIterations;
  const shape = { prompts: promptsPerGeneration, samples: numGenerations, repeats };
  const found = [
    measured(`${name}/resolved`, wrong(isResolved), 0),
    measured(`${name}/order`, wrong(equal(Array.from(await forGenerations(plain, shape).epoch(0)), order)), 0),
  ];
  const made = await batchesOf(rows, { ...options, shuffle_dataset: false }).catch((error: unknown) => error);
  if (order.length === 0) return [...found, measured(`${name}/refused`, wrong(made instanceof OptionError), 0)];
  const { batches } = made as Awaited<ReturnType<typeof batchesOf>>;
  return [...found, ...(await structure(name, batches, { steps, expected, microBatches }))];
}

async function structure(
  name: string,
  batches: GenerationBatches,
  {
    steps,
    expected,
    microBatches,
  }: {
    steps: number | undefined;
    expected: number[][];
    microBatches: NonNullable<SamplerCase["micro_batches"]>;
  },
): Promise<Outcome[]> {
  const { numGenerations, generationBatchSize, numIterations } = batches.sizes;
  const generations: number[][] = [];
  const cut: typeof microBatches = [];
  const used = new Map<number, number[]>();
  for await (const { step } of batches.steps(0))
    for (const { generation, prompts, places } of await batches.slicesOf(step)) {
      generations[generation] = Array.from(prompts).flatMap((row) => Array.from({ length: numGenerations }, () => row));
      cut.push({ optimizer_step: step - 1, generation, size: places.length });
      used.set(generation, [...(used.get(generation) ?? []), ...places]);
    }
  // Every pass uses each completion once.
  const passes = [...used.values()].flatMap((places) =>
    Array.from({ length: numIterations }, (_, n) =>
      places.slice(n * generationBatchSize, (n + 1) * generationBatchSize).sort((a, b) => a - b),
    ),
  );
  const whole = Array.from({ length: generationBatchSize }, (_, n) => n);
  return [
    measured(`${name}/optimizer_steps`, Math.abs(batches.totalSteps - (steps ?? Number.NaN)), 0),
    measured(`${name}/generations`, wrong(equal(generations, expected)), 0),
    measured(`${name}/micro_batches`, wrong(equal(cut, microBatches)), 0),
    measured(`${name}/passes`, passes.filter((places) => !equal(places, whole)).length, 0),
  ];
}

async function ofShuffled(name: string, entry: ShuffledCase): Promise<Outcome[]> {
  const { dataset_size: rows, prompts_per_generation: prompts, num_generations: samples, repeats } = entry;
  const options = (seed: number) => ({
    ...{ per_device_train_batch_size: prompts * samples, gradient_accumulation_steps: 1, num_generations: samples },
    ...{ num_iterations: repeats, num_train_epochs: 2, seed },
  });
  const chunks = async (seed: number) => {
    const { batches } = await batchesOf(rows, options(seed));
    const found = new Map<number, number[]>();
    for await (const { step } of batches.steps(0))
      for (const slice of await batches.slicesOf(step)) found.set(slice.generation, Array.from(slice.prompts));
    const perEpoch = Math.floor(rows / prompts);
    const all = [...found.values()];
    return [all.slice(0, perEpoch), all.slice(perEpoch)];
  };
  const [first = [], second = []] = await chunks(7);
  const isPart = (epoch: number[][]) =>
    epoch.length === Math.floor(rows / prompts) && new Set(epoch.flat()).size === epoch.length * prompts;
  return [
    measured(`${name}/permutation`, wrong(isPart(first) && isPart(second)), 0),
    measured(`${name}/same-seed`, wrong(equal(await chunks(7), [first, second])), 0),
    measured(`${name}/next-epoch`, wrong(!equal(first, second)), 0),
    measured(`${name}/other-seed`, wrong(!equal(await chunks(8), [first, second])), 0),
  ];
}
