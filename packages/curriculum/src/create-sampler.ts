// The order of the rows in each epoch, by the name of a strategy.
import { ArgumentError } from "@tunesmith/core";
import { groupByLength } from "./group-by-length.ts";
import { permutation } from "./philox.ts";
import type { Sampler } from "./sampler.ts";

/** Orders of the examples. All but `staged`, which starts with the short ones, are Hugging Face's train_sampling_strategy. */
export type SamplingStrategy = "random" | "sequential" | "group_by_length" | "staged";

/** What a sampler is made of. */
export interface SamplerOptions {
  strategy: SamplingStrategy;
  /** Tokens of each example. */
  lengths: ArrayLike<number>;
  seed: number;
  /** `staged`: examples of at most this many tokens are simple. */
  simpleMaxLength: number;
  /** `group_by_length`: rows of an optimizer step. */
  batchSize: number;
}

/** Makes the sampler of a strategy. */
export function createSampler({ strategy, lengths, seed, simpleMaxLength, batchSize }: SamplerOptions): Sampler {
  if (lengths.length === 0)
    throw new ArgumentError("[sampler] expected at least one example, got none; check the data set");
  switch (strategy) {
    case "sequential":
      return sequential(lengths.length);
    case "random":
      return random(lengths.length, seed);
    case "group_by_length":
      return groupByLength(lengths, seed, batchSize);
    case "staged":
      return staged(lengths, seed, simpleMaxLength);
  }
}

/** Every epoch in the order of the data set. */
function sequential(n: number): Sampler {
  return { size: () => n, epoch: () => Int32Array.from({ length: n }, (_, index) => index), warnings: [] };
}

/** Every epoch in another random order, a function of (seed, epoch). */
function random(n: number, seed: number): Sampler {
  return { size: () => n, epoch: (epoch) => permutation(n, seed, epoch), warnings: [] };
}

/**
 * The first epoch is the simple examples, short first; the others are everything, shuffled. Bengio et al., "Curriculum
 * learning" (ICML 2009). Without a simple example every epoch is shuffled.
 */
function staged(lengths: ArrayLike<number>, seed: number, simpleMaxLength: number): Sampler {
  const shuffled = random(lengths.length, seed);
  const simple = Array.from(lengths, (length, index) => ({ length, index }))
    .filter(({ length }) => length <= simpleMaxLength)
    .map(({ index }) => index);
  // A stable sort: examples of one length stay in the order of the data set.
  simple.sort((a, b) => (lengths[a] as number) - (lengths[b] as number));
  if (simple.length === 0) {
    const shortest = Array.from(lengths).reduce((least, length) => Math.min(least, length), Number.POSITIVE_INFINITY);
    const warning = `staged sampling: no example has at most ${simpleMaxLength} tokens (the shortest has ${shortest}), so every epoch is shuffled; raise simpleMaxLength`;
    return { ...shuffled, warnings: [warning] };
  }
  const all = simple.length === lengths.length;
  const warning = `staged sampling: all ${lengths.length} examples have at most ${simpleMaxLength} tokens, so the first epoch is everything, short first; lower simpleMaxLength`;
  return {
    size: (epoch) => (epoch === 0 ? simple.length : lengths.length),
    epoch: (epoch) => (epoch === 0 ? Int32Array.from(simple) : shuffled.epoch(epoch)),
    warnings: all ? [warning] : [],
  };
}
