// One stage of a curriculum: what belongs to it, and how long it is.
import { OptionError, slices } from "@tunesmith/core";
import type { SamplerContext, SamplerRow } from "./rows.ts";

/** A stage of a curriculum: rows that fulfil all its conditions, and for how long they are trained on. */
export interface Stage {
  /** Tokens of a row at most. Default: any number. */
  maxLength?: number | undefined;
  /** Messages of a row at least. Default: any number. */
  minTurns?: number | undefined;
  /** Whether a row belongs to it. Default: every row does. */
  where?: ((row: SamplerRow) => boolean) | undefined;
  /** Passes over its rows; 0.5 is half a pass. Default 1. The last stage goes on as long as the run does. */
  epochs?: number | undefined;
  /** Optimizer steps, in place of `epochs`. */
  steps?: number | undefined;
  /** Share of hard rows in each pass, from 0 up to but not 1. Default 0. */
  hardShare?: number | undefined;
  /** In which order a pass takes its rows. Default random. */
  order?: "random" | "easy_first" | undefined;
}

/** Passes of a stage, and the rows of the last of them. */
export interface StageLength {
  passes: number;
  lastSize: number;
}

/** Whether a row belongs to a stage. */
export function fits({ maxLength, minTurns, where }: Stage, row: SamplerRow): boolean {
  if (maxLength !== undefined && row.length > maxLength) return false;
  return (minTurns === undefined || row.turns >= minTurns) && (where?.(row) ?? true);
}

/** How a stage without conditions is called. */
export const everyRow = "every row";

/** The conditions of a stage, in words. */
export function conditionsOf({ maxLength, minTurns, where }: Stage): string {
  const words = [
    maxLength === undefined ? [] : [`at most ${maxLength} tokens`],
    minTurns === undefined ? [] : [`at least ${minTurns} turns`],
    where === undefined ? [] : ["where"],
  ].flat();
  return words.length === 0 ? everyRow : words.join(", ");
}

/** Why no row fits a stage, in numbers. */
export async function noRowFits(
  { maxLength, minTurns, where }: Stage,
  { lengths, row }: SamplerContext,
): Promise<string> {
  let [shortest, most, short] = [Number.POSITIVE_INFINITY, 0, 0];
  for (let index = 0; index < lengths.length; index += 1) {
    const { length, turns } = row(index);
    shortest = Math.min(shortest, length);
    most = Math.max(most, turns);
    if (length <= (maxLength ?? length) && turns >= (minTurns ?? turns)) short += 1;
    if (slices.isOver) await slices.turn();
  }
  const numbers = [
    maxLength === undefined ? [] : [`the shortest of ${lengths.length} has ${shortest} tokens`],
    minTurns === undefined ? [] : [`the most turns are ${most}`],
    where === undefined ? [] : [`where took none of ${short}`],
  ];
  return numbers.flat().join(", ");
}

/**
 * How long a stage is.
 *
 * @param full rows of a whole pass
 */
export function stageLength(
  { epochs, steps }: Stage,
  name: string,
  full: number,
  { batchSize, fixedBatches }: SamplerContext,
): StageLength {
  const length = steps ?? epochs ?? 1;
  if (steps !== undefined && epochs !== undefined)
    throw new OptionError(`[stages] expected epochs or steps in ${name}, got both; leave one out`);
  if (!(length > 0 && Number.isFinite(length)) || (steps !== undefined && !Number.isInteger(steps)))
    throw new OptionError(`[stages] expected a length above 0 in ${name}, got ${length}; correct epochs or steps`);
  if (steps === undefined) {
    const passes = Math.ceil(length - 1e-9);
    return { passes, lastSize: Math.max(1, Math.ceil(full * (length - passes + 1) - 1e-9)) };
  }
  if (!fixedBatches)
    throw new OptionError(
      `[stages] expected epochs in ${name} with maxTokensPerBatch, under which steps have no fixed number of rows, got steps ${steps}; give epochs`,
    );
  const ofPass = Math.ceil(full / batchSize);
  const passes = Math.ceil(steps / ofPass);
  return { passes, lastSize: Math.min(full, (steps - (passes - 1) * ofPass) * batchSize) };
}
