// The rows of the first step, for a person who wants to see them before a run.
import { countTrained } from "@tunesmith/data";
import type { PreparedRun } from "./recipe.ts";

/** A row of a batch. */
export interface BatchRow {
  /** `FILE:LINE`. */
  place: string;
  tokens: number;
  /** Tokens that count in the loss. */
  trainedTokens: number;
  /** Text of its first tokens, special ones included. */
  start: string;
}

/** The rows of one optimizer step. */
export interface FirstBatch {
  /** Rows of all its micro-batches: of a packed row each that lies in it, of a preference each answer. */
  count: number;
  tokens: number;
  /** Tokens that count in the loss. */
  trainedTokens: number;
  /** The first eight of them, in their order. */
  rows: BatchRow[];
}

/** Rows that are shown, and tokens of each. */
const [shownRows, shownTokens] = [8, 32];

/**
 * The rows of the first step. Null where only a run knows them: they go by what the model finds hard, or the recipe makes them while it
 * trains.
 */
export async function firstBatch(prepared: PreparedRun): Promise<FirstBatch | null> {
  const { batches, measured, tokenizer } = prepared;
  if (measured !== undefined || prepared.sequences === undefined) return null;
  const sequences = (row: number) => prepared.sequences?.(row) ?? [];
  for await (const { microBatches } of batches.steps(0)) {
    const rows = microBatches.flatMap((indices) => Array.from(indices, sequences).flat());
    const trained = rows.map(({ labels }) => countTrained(labels));
    return {
      count: rows.length,
      tokens: rows.reduce((sum, { ids }) => sum + ids.length, 0),
      trainedTokens: trained.reduce((sum, count) => sum + count, 0),
      rows: rows.slice(0, shownRows).map(({ ids, rowId }, n) => ({
        place: prepared.locate(rowId),
        tokens: ids.length,
        trainedTokens: trained[n] as number,
        start: tokenizer.decode(ids.slice(0, shownTokens), { skipSpecialTokens: false }),
      })),
    };
  }
  return null;
}
