// The order of the rows in each epoch, by the name of a strategy.
import { ArgumentError } from "@tunesmith/core";
import { byCompetence } from "./competence.ts";
import { groupByLength } from "./group-by-length.ts";
import type { MeasuredDifficulty } from "./measured.ts";
import { ascending, permutationInSlices } from "./philox.ts";
import type { SamplerContext } from "./rows.ts";
import type { Sampler } from "./sampler.ts";
import type { Stage } from "./stage.ts";
import { staged } from "./stages.ts";

/** Orders of the examples. All but the curricula `staged` and `competence` are Hugging Face's train_sampling_strategy. */
export type SamplingStrategy = "random" | "sequential" | "group_by_length" | "staged" | "competence";

/** Options that decide an order. */
export interface SamplerOptions {
  strategy: SamplingStrategy;
  /** `staged`: examples of at most this many tokens are simple, in the preset. */
  simpleMaxLength: number;
  /** `staged`: the stages; null is the preset. */
  stages: readonly Stage[] | null;
  /** `staged`: share of hard rows in the stages that say none themselves. */
  hardShare: number;
  /** `competence`: steps until all rows may be drawn; null: those of one epoch. */
  competenceSteps: number | null;
  /** `competence`: share of the rows that may be drawn at first. */
  initialCompetence: number;
  difficulty: "length" | "turns" | MeasuredDifficulty;
  reverse: boolean;
}

/** Makes the sampler of a strategy. */
export async function createSampler(options: SamplerOptions, context: SamplerContext): Promise<Sampler> {
  const { lengths, seed, batchSize } = context;
  if (lengths.length === 0)
    throw new ArgumentError("[sampler] expected at least one example, got none; check the data set");
  switch (options.strategy) {
    case "sequential":
      return sequential(lengths.length);
    case "random":
      return random(lengths.length, seed);
    case "group_by_length":
      return groupByLength(lengths, seed, batchSize);
    case "staged":
      return byStages(options, context);
    case "competence": {
      const { competenceSteps: steps, initialCompetence: initial, difficulty, reverse } = options;
      return byCompetence(context, { steps, initial, difficulty, reverse });
    }
  }
}

/**
 * The stages of the options. Without any they are those of the usual advice: short rows first, conversations of several turns next, then
 * everything.
 */
function byStages(
  { stages, simpleMaxLength, hardShare, difficulty, reverse }: SamplerOptions,
  context: SamplerContext,
) {
  const preset: Stage[] = [{ maxLength: simpleMaxLength, order: "easy_first" }, { minTurns: 3 }, { hardShare: 0 }];
  const all = (stages ?? preset).map((stage) => ({ ...stage, hardShare: stage.hardShare ?? hardShare }));
  return staged(context, { stages: all, difficulty, reverse }, stages === null);
}

/** Every epoch in the order of the data set. */
function sequential(n: number): Sampler {
  return { size: () => n, epoch: async () => ascending(n), warnings: [] };
}

/** Every epoch in another random order, a function of (seed, epoch). */
function random(n: number, seed: number): Sampler {
  return { size: () => n, epoch: (epoch) => permutationInSlices(n, seed, epoch), warnings: [] };
}
