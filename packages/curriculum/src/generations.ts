// Orders for training on sampled completions: prompts of an epoch in chunks, each as often as its completions are trained on.
import { slices } from "@tunesmith/core";
import { drawUnit, keyOf, permutation, purpose } from "./philox.ts";
import type { Sampler } from "./sampler.ts";

/** How the prompts of an epoch become generations. */
export interface GenerationShape {
  /** Prompts that are answered at once. */
  prompts: number;
  /** Completions of each. */
  samples: number;
  /** Micro-batches that their completions are cut into, times the passes over them. */
  repeats: number;
}

/**
 * An order in which each chunk of prompts comes `repeats` times, each prompt in it `samples` times in a row; an incomplete last chunk is left
 * out (TRL's RepeatSampler). An epoch of fewer prompts than a chunk is empty.
 */
export function forGenerations(sampler: Sampler, { prompts, samples, repeats }: GenerationShape): Sampler {
  const chunks = (epoch: number) => Math.floor(sampler.size(epoch) / prompts);
  const perChunk = prompts * samples * repeats;
  return {
    ...sampler,
    size: (epoch) => chunks(epoch) * perChunk,
    async epoch(epoch, measured) {
      const order = await sampler.epoch(epoch, measured);
      const repeated = new Int32Array(chunks(epoch) * perChunk);
      await slices.each(repeated.length, (from, to) => {
        for (let n = from; n < to; n += 1) {
          const prompt = Math.floor((n % (prompts * samples)) / samples);
          repeated[n] = order[Math.floor(n / perChunk) * prompts + prompt] as number;
        }
      });
      return repeated;
    },
  };
}

/** The completions of a generation, shuffled, so that its micro-batches do not hold whole groups (TRL). A function of seed and generation. */
export function shuffledCompletions(completions: number, seed: number, generation: number): Int32Array {
  return permutation(completions, seed, generation, purpose.completions);
}

/** The seed that a generation is sampled with: another one for each, and the same one whenever it is asked for. */
export function generationSeed(seed: number, generation: number): number {
  return Math.floor(drawUnit([generation, 0, 0, purpose.generationSeeds], keyOf(seed)) * 2 ** 53);
}
