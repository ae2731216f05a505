// What is compared: five ways to choose or order the same rows.
import { type DatasetSource, type SamplerFactory, selectRows, stagedSampler } from "@tunesmith/sdk";
import type { TaskSet } from "./sets.ts";

/** The five, in the order of their runs. */
export const armNames = ["random", "longest answers", "staged forward", "staged reverse", "loss-based"] as const;

/** One of them. */
export type ArmName = (typeof armNames)[number];

/** Rows and their order, as a trainer takes them. */
export interface Arm {
  trainDataset: DatasetSource;
  /** None: shuffled. */
  sampler?: SamplerFactory;
}

/** Share of the rows that `longest answers` keeps: about as many as the tokens of a run. */
export const keptShare = 1 / 3;

/** What rows are ordered by, of the same length as the rows. */
export interface Hardness {
  /** Loss of each row by the model before training. */
  losses: readonly number[];
}

/**
 * An arm. The staged ones have three stages, a third of the rows each, and each stage lasts for the same share of its rows, so that the
 * three stages together have the rows of a random order in another order: `staged` by tokens, `loss-based` by loss, the easiest third first.
 *
 * @param budget tokens of a run
 */
export function arm(name: ArmName, set: TaskSet, { losses }: Hardness, budget: number): Arm {
  const { rows, examples } = set;
  const lengths = examples.map(({ length }) => length);
  switch (name) {
    case "random":
      return { trainDataset: rows };
    case "longest answers":
      return { trainDataset: selectRows(rows, { by: "length", keep: keptShare }) };
    case "staged forward":
      return { trainDataset: rows, sampler: thirds(lengths, lengths, budget, false) };
    case "staged reverse":
      return { trainDataset: rows, sampler: thirds(lengths, lengths, budget, true) };
    case "loss-based":
      return { trainDataset: rows, sampler: thirds(losses, lengths, budget, false) };
  }
}

/** Three stages of a third of the rows each, the lowest scores first; reversed the highest. */
function thirds(scores: readonly number[], lengths: readonly number[], budget: number, reverse: boolean) {
  const ranked = [...scores.keys()].sort((a, b) => (scores[a] as number) - (scores[b] as number) || a - b);
  const stageOf = new Map(ranked.map((row, rank) => [row, Math.floor((3 * rank) / ranked.length)]));
  const epochs = budget / lengths.reduce((sum, length) => sum + length, 0);
  const stages = [0, 1, 2].map((stage) => ({
    where: ({ rowIds: [row = -1] }: { rowIds: readonly number[] }) => stageOf.get(row) === stage,
    epochs,
  }));
  return stagedSampler({ stages, reverse });
}
