// A curriculum of stages: which rows are trained on first, for how long, and what comes after them.
import { OptionError, slices } from "@tunesmith/core";
import type { SamplerFactory } from "./custom-sampler.ts";
import type { Measured } from "./measured.ts";
import { permutationInSlices, purpose } from "./philox.ts";
import { type Difficulty, picked, type Ranking, rankingOf, type SamplerContext } from "./rows.ts";
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
  /** In the order of the data set. */
  rows: Int32Array;
  /** Whether a pass takes them from the easiest to the hardest, or the other way round. */
  isSorted: boolean;
  /** Hard rows that are mixed into a pass. */
  hard: number;
}

/** Of all rows, as many count as hard. */
const hardQuarter = 0.25;

/**
 * The order of a curriculum of stages, as a function of (seed, epoch) and of what is measured. Bengio et al., "Curriculum learning" (ICML
 * 2009). Hard rows are the hardest quarter of all; a stage draws those that it does not have itself, or where it has all of them, those a
 * second time.
 *
 * @param isPreset a stage that no row fits is left out with a warning; else it is an `OptionError`
 */
export async function staged(context: SamplerContext, options: StagesOptions, isPreset = false): Promise<Sampler> {
  const { difficulty = "length", reverse = false } = options;
  if (options.stages.length === 0)
    throw new OptionError("[stages] expected at least one stage, got none; {} is one of every row");
  const { stages, warnings } = await filledStages(context, options, isPreset);
  const needsRanking = stages.some(({ hard, isSorted }) => hard > 0 || isSorted);
  const ranking = needsRanking ? await rankingOf(context, difficulty) : null;
  if (ranking === null && difficulty !== "length")
    warnings.push(
      `staged sampling: difficulty ${typeof difficulty === "function" ? "" : `${difficulty} `}has no effect: no stage has the order easy_first or a hardShare`,
    );
  const at = (number: number) => stages.findLast((stage) => stage.epoch <= number) as FilledStage;
  const size = (number: number) => {
    const stage = at(number);
    const isLastPass = stage !== stages.at(-1) && number === stage.epoch + stage.passes - 1;
    return isLastPass ? stage.lastSize : stage.rows.length + stage.hard;
  };
  const epoch = async (number: number, measured?: Measured) => {
    const pass = { context, epoch: number, ranking, measured, reverse };
    return (await passOf(at(number), pass)).subarray(0, size(number));
  };
  return { size, epoch, measures: ranking?.measures, warnings, parts: stages };
}

/** The stages with their rows, in the order in which they come. */
async function filledStages(context: SamplerContext, { stages: given, reverse }: StagesOptions, isPreset: boolean) {
  const members: number[][] = given.map(() => []);
  for (let index = 0; index < context.lengths.length; index += 1) {
    const facts = context.row(index);
    for (const [n, stage] of given.entries()) if (fits(stage, facts)) members[n]?.push(index);
    if (slices.isOver) await slices.turn();
  }
  const listed = given.map((stage, n) => ({ stage, name: `stage ${n + 1} (${conditionsOf(stage)})`, n }));
  const stages: FilledStage[] = [];
  const warnings: string[] = [];
  let epoch = 0;
  for (const { stage, name, n } of reverse ? listed.toReversed() : listed) {
    const rows = new Int32Array(members[n]?.length ?? 0);
    await slices.each(rows.length, (from, to) => {
      for (let at = from; at < to; at += 1) rows[at] = members[n]?.[at] as number;
    });
    if (rows.length === 0) {
      const problem = `expected rows that fit ${name}, got none: ${await noRowFits(stage, context)}`;
      if (!isPreset) throw new OptionError(`[stages] ${problem}; change its conditions, or leave it out`);
      warnings.push(`staged sampling: ${problem}; it is left out`);
      continue;
    }
    if (rows.length === context.lengths.length && conditionsOf(stage) !== everyRow)
      warnings.push(`staged sampling: all ${rows.length} rows fit ${name}, so it trains on everything`);
    const hard = hardRowsOf(stage, rows.length);
    const length = stageLength(stage, name, rows.length + hard, context);
    stages.push({ name, epoch, rows, isSorted: stage.order === "easy_first", hard, ...length });
    epoch += length.passes;
  }
  return { stages, warnings };
}

/** How many hard rows a pass has. */
function hardRowsOf({ hardShare = 0 }: Stage, rows: number): number {
  if (!(hardShare >= 0 && hardShare < 1))
    throw new OptionError(`[hardShare] expected a share of at least 0 and below 1, got ${hardShare}; correct it`);
  return Math.round((rows * hardShare) / (1 - hardShare));
}

/** What the order of a pass follows from, besides its stage. */
interface Pass {
  context: SamplerContext;
  epoch: number;
  /** Null where no stage needs one. */
  ranking: Ranking | null;
  measured: Measured | undefined;
  reverse: boolean;
}

/**
 * The order of one pass. In one that had begun when the model was asked, its own rows that were taken stay where they were, so that each
 * still comes once.
 */
async function passOf(
  { rows, isSorted, hard }: FilledStage,
  { context, epoch, ranking, measured, reverse }: Pass,
): Promise<Int32Array> {
  const { seed, lengths } = context;
  const easiestFirst = ranking?.easiestFirst(measured) ?? new Int32Array();
  const own = new Uint8Array(lengths.length);
  for (const row of rows) own[row] = 1;
  const sorted = isSorted ? await picked(easiestFirst, (row) => own[row] === 1) : await shuffled(rows, seed, epoch);
  if (isSorted && reverse) sorted.reverse();
  const order = new Int32Array(rows.length + hard).fill(-1);
  const hardest = easiestFirst.subarray(easiestFirst.length - Math.ceil(easiestFirst.length * hardQuarter));
  if (hard > 0) await placeHard(order, hard, { seed, epoch, hardest, own });
  const taken = (measured?.taken ?? []).slice(0, order.length);
  for (const [place, row] of taken.entries()) {
    if (order[place] !== -1) continue;
    order[place] = row;
    own[row] = 0;
  }
  const rest = await picked(sorted, (row) => own[row] === 1);
  let next = 0;
  await slices.each(order.length, (from, to) => {
    for (let place = from; place < to; place += 1) if (order[place] === -1) order[place] = rest[next++] as number;
  });
  return order;
}

/** Rows in the random order of an epoch. */
async function shuffled(rows: Int32Array, seed: number, epoch: number): Promise<Int32Array> {
  const order = await permutationInSlices(rows.length, seed, epoch);
  await slices.each(order.length, (from, to) => {
    for (let n = from; n < to; n += 1) order[n] = rows[order[n] as number] as number;
  });
  return order;
}

/** Puts hard rows at random places: those that the stage has not itself, or where it has all of them, those once more. */
async function placeHard(
  order: Int32Array,
  hard: number,
  { seed, epoch, hardest, own }: { seed: number; epoch: number; hardest: Int32Array; own: Uint8Array },
): Promise<void> {
  const others = await picked(hardest, (row) => own[row] === 0);
  const from = others.length > 0 ? others : hardest;
  const drawn = await permutationInSlices(from.length, seed, epoch, purpose.hardRows);
  const places = await permutationInSlices(order.length, seed, epoch, purpose.hardPlaces);
  await slices.each(hard, (first, last) => {
    for (let n = first; n < last; n += 1)
      order[places[n] as number] = from[drawn[n % drawn.length] as number] as number;
  });
}
