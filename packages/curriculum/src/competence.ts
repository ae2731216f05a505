// A curriculum without stages: ever more of the rows may be drawn, the easiest first.
import { OptionError, slices } from "@tunesmith/core";
import type { SamplerFactory } from "./custom-sampler.ts";
import type { Measured } from "./measured.ts";
import { drawBelow, keyOf, permutationInSlices, purpose } from "./philox.ts";
import { type Difficulty, rankingOf, type SamplerContext } from "./rows.ts";
import type { Sampler } from "./sampler.ts";

/** How fast a curriculum goes from easy rows to all of them. */
export interface CompetenceOptions {
  /** Optimizer steps until every row may be drawn. Default null: those of one epoch. */
  steps?: number | null;
  /** Share of the rows that may be drawn at the first step. Default 0.01 (Platanios et al.). */
  initial?: number;
  /** What makes a row hard. Default length. */
  difficulty?: Difficulty;
  /** The hardest rows first. Default false. */
  reverse?: boolean;
}

/**
 * Square-root competence, the share of the rows that may be drawn at a step: c(t) = min(1, √(t (1 − c₀²) / T + c₀²)). Platanios et al.,
 * "Competence-based curriculum learning for neural machine translation" (NAACL 2019, arXiv:1903.09848).
 *
 * @param step optimizer steps before it
 * @param steps T, after which it is 1
 * @param initial c₀, the share at step 0
 */
export function competenceAt(step: number, steps: number, initial: number): number {
  // At T itself the root may be a rounding error below 1.
  return step >= steps ? 1 : Math.min(1, Math.sqrt((step * (1 - initial ** 2)) / steps + initial ** 2));
}

/**
 * A curriculum by competence as the `sampler` of a trainer, for a function as `difficulty`. Each step draws its rows from the easiest ones
 * that its competence allows, at least as many as it has, none twice; rows come again in later steps. An epoch that begins with all rows
 * allowed is a shuffled pass.
 */
export function competenceSampler(options: CompetenceOptions = {}): SamplerFactory {
  return (context) => byCompetence(context, options);
}

/** The same as a sampler. */
export async function byCompetence(context: SamplerContext, options: CompetenceOptions): Promise<Sampler> {
  const { lengths, seed, batchSize } = context;
  const { steps = null, initial = 0.01, difficulty = "length", reverse = false } = options;
  if (!(initial > 0 && initial <= 1))
    throw new OptionError(`[initial] expected a share above 0 and of at most 1, got ${initial}; correct it`);
  if (steps !== null && !(Number.isInteger(steps) && steps > 0))
    throw new OptionError(`[steps] expected a whole number above 0, got ${steps}; correct it, or leave it out`);
  const n = lengths.length;
  const stepsOfEpoch = Math.ceil(n / batchSize);
  const ranking = await rankingOf(context, difficulty);
  const competence = (step: number) => competenceAt(step, steps ?? stepsOfEpoch, initial);
  const epoch = async (number: number, measured?: Measured) => {
    if (competence(number * stepsOfEpoch) >= 1) return permutationInSlices(n, seed, number);
    const ranked = ranking.easiestFirst(measured);
    const order = new Int32Array(n);
    for (let step = 0; step < stepsOfEpoch; step += 1) {
      const batch = order.subarray(step * batchSize, (step + 1) * batchSize);
      // Sums of floats may be a rounding error above a whole number of rows.
      const allowed = Math.ceil(competence(number * stepsOfEpoch + step) * n - 1e-9);
      drawDistinct(batch, Math.max(batch.length, allowed), seed, [number, step]);
      for (const [place, rank] of batch.entries()) batch[place] = ranked[reverse ? n - 1 - rank : rank] as number;
      if (slices.isOver) await slices.turn();
    }
    return order;
  };
  return { size: () => n, epoch, measures: ranking.measures, warnings: [] };
}

/** Fills a batch with different numbers of 0 … n − 1 (Floyd's algorithm; Bentley and Floyd, CACM 1987). */
function drawDistinct(batch: Int32Array, n: number, seed: number, [epoch, step]: readonly [number, number]): void {
  const drawn = new Set<number>();
  for (let place = 0; place < batch.length; place += 1) {
    const last = n - batch.length + place;
    const given = drawBelow(last + 1, [place, epoch, step, purpose.competence], keyOf(seed));
    const taken = drawn.has(given) ? last : given;
    drawn.add(taken);
    batch[place] = taken;
  }
}
