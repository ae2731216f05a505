// A curriculum of stages: which rows are trained on first, for how long, and what comes after them.
import { OptionError } from "@tunesmith/core";
import type { SamplerFactory } from "./custom-sampler.ts";
import { permutation, purpose } from "./philox.ts";
import { type Difficulty, easiestFirst, type SamplerContext } from "./rows.ts";
import type { Sampler, SamplerPart } from "./sampler.ts";
import { conditionsOf, everyRow, fits, noRowFits, type Stage, type StageLength, stageLength } from "./stage.ts";

/** How a curriculum of stages is made. */
export interface StagesOptions {
  /** One after another. */
  stages: readonly Stage[];
  /** What makes a row hard. Default length. */
  difficulty?: Difficulty;
  /** The stages from the last to the first, and the hardest row first where a stage has the easiest first. Default false. */
  reverse?: boolean;
}

/**
 * A curriculum of stages as the `sampler` of a trainer, for what needs a program: a stage's `where`, and a function for `difficulty`. A
 * stage that no row fits is an `OptionError`.
 */
export function stagedSampler(options: StagesOptions): SamplerFactory {
  return (context) => staged(context, options);
}

/** A stage with its rows. */
interface FilledStage extends SamplerPart, StageLength {
  rows: Int32Array;
  /** Hard rows that are mixed into a pass, drawn from these. */
  hard: number;
  hardRows: Int32Array;
  isSorted: boolean;
}

/** Of all rows, as many count as hard. */
const hardQuarter = 0.25;

/**
 * The order of a curriculum of stages, as a function of (seed, epoch). Bengio et al., "Curriculum learning" (ICML 2009). Hard rows are the
 * hardest quarter of all; a stage draws those that it does not have itself, or where it has all of them, those a second time.
 *
 * @param isPreset a stage that no row fits is left out with a warning; else it is an `OptionError`
 */
export function staged(context: SamplerContext, options: StagesOptions, isPreset = false): Sampler {
  const { reverse = false } = options;
  if (options.stages.length === 0)
    throw new OptionError("[stages] expected at least one stage, got none; {} is one of every row");
  const warnings: string[] = [];
  const { listed, hardest } = membersOf(context, options);
  const stages: FilledStage[] = [];
  let epoch = 0;
  for (const { stage, name, rows } of reverse ? listed.toReversed() : listed) {
    if (rows.length === 0) {
      const problem = `expected rows that fit ${name}, got none: ${noRowFits(stage, context)}`;
      if (!isPreset) throw new OptionError(`[stages] ${problem}; change its conditions, or leave it out`);
      warnings.push(`staged sampling: ${problem}; it is left out`);
      continue;
    }
    if (rows.length === context.lengths.length && conditionsOf(stage) !== everyRow)
      warnings.push(`staged sampling: all ${rows.length} rows fit ${name}, so it trains on everything`);
    const filled = { name, epoch, rows, isSorted: stage.order === "easy_first", ...hardOf(stage, rows, hardest) };
    const length = stageLength(stage, name, rows.length + filled.hard, context);
    stages.push({ ...filled, ...length });
    epoch += length.passes;
  }
  const { seed } = context;
  const at = (number: number) => stages.findLast((stage) => stage.epoch <= number) as FilledStage;
  const size = (number: number) => {
    const stage = at(number);
    const isLastPass = stage !== stages.at(-1) && number === stage.epoch + stage.passes - 1;
    return isLastPass ? stage.lastSize : stage.rows.length + stage.hard;
  };
  return {
    size,
    epoch: (number) => passOf(at(number), seed, number).subarray(0, size(number)),
    warnings,
    parts: stages,
  };
}

/** The rows of each stage, in the order in which it takes them unless that is random, and the hardest rows of all. */
function membersOf(context: SamplerContext, { stages, difficulty = "length", reverse = false }: StagesOptions) {
  const rows: number[][] = stages.map(() => []);
  for (let index = 0; index < context.lengths.length; index += 1) {
    const facts = context.row(index);
    for (const [n, stage] of stages.entries()) if (fits(stage, facts)) rows[n]?.push(index);
  }
  const needsDifficulty = stages.some(({ hardShare = 0, order }) => hardShare > 0 || order === "easy_first");
  const sorted = needsDifficulty ? easiestFirst(context, difficulty) : new Int32Array();
  const listed = stages.map((stage, n) => {
    const own = Int32Array.from(rows[n] as number[]);
    const name = `stage ${n + 1} (${conditionsOf(stage)})`;
    if (stage.order !== "easy_first") return { stage, name, rows: own };
    const members = new Set(own);
    const ordered = sorted.filter((row) => members.has(row));
    return { stage, name, rows: reverse ? ordered.reverse() : ordered };
  });
  return { listed, hardest: sorted.subarray(sorted.length - Math.ceil(sorted.length * hardQuarter)) };
}

/** The hard rows of a stage: how many of a pass, and which they are drawn from. */
function hardOf({ hardShare = 0 }: Stage, rows: Int32Array, hardest: Int32Array) {
  if (!(hardShare >= 0 && hardShare < 1))
    throw new OptionError(`[hardShare] expected a share of at least 0 and below 1, got ${hardShare}; correct it`);
  const own = new Set(rows);
  const others = hardest.filter((row) => !own.has(row));
  const hard = Math.round((rows.length * hardShare) / (1 - hardShare));
  return { hard, hardRows: others.length > 0 ? others : hardest };
}

/** The order of one pass, a function of (seed, epoch). */
function passOf({ rows, isSorted, hard, hardRows }: FilledStage, seed: number, epoch: number): Int32Array {
  const own = isSorted ? rows : permutation(rows.length, seed, epoch).map((place) => rows[place] as number);
  if (hard === 0) return own.slice();
  const drawn = permutation(hardRows.length, seed, epoch, purpose.hardRows);
  const order = new Int32Array(own.length + hard).fill(-1);
  const places = permutation(order.length, seed, epoch, purpose.hardPlaces).subarray(0, hard);
  for (const [n, place] of places.entries()) order[place] = hardRows[drawn[n % drawn.length] as number] as number;
  let next = 0;
  for (const [place, row] of order.entries()) if (row === -1) order[place] = own[next++] as number;
  return order;
}
