// The largest pass of a run, as far as its steps are looked at.
import { type PassShape, slices } from "@tunesmith/core";
import { coalesce } from "@tunesmith/data";

/** Rows whose passes are looked at one by one; a longer run is taken to go on as it began. */
const mostRows = 200_000;

type Sequences = readonly { readonly length: number }[];

/** The sequences of each step, by micro-batch. */
type StepLengths = Iterable<readonly Sequences[]> | AsyncIterable<readonly Sequences[]>;

/** The rows of an evaluation set, as far as their lengths go. */
interface SetRows {
  length: number;
  pieces(row: number): Sequences;
}

/**
 * The largest pass of some evaluation sets; null where there is none.
 *
 * @param batchSize rows that never share a pass with those of another batch; null: passes go across batches
 */
export async function largestEvaluationPass(
  sets: readonly SetRows[],
  tokenBudget: number,
  batchSize: number | null,
): Promise<PassShape | null> {
  if (sets.length === 0) return null;
  function* batches() {
    for (const rows of sets)
      for (let first = 0; first < rows.length; first += batchSize ?? rows.length)
        yield [batchOf(rows, first, batchSize ?? rows.length)];
  }
  return largestPass(batches(), tokenBudget);
}

function batchOf(rows: SetRows, first: number, size: number): Sequences {
  const count = Math.min(size, rows.length - first, mostRows);
  return Array.from({ length: count }, (_, n) => rows.pieces(first + n)).flat();
}

/**
 * The largest pass of a run: the most tokens of any, and the longest sequence of all.
 *
 * @param steps sequences of each step, by micro-batch
 */
export async function largestPass(steps: StepLengths, tokenBudget: number): Promise<PassShape> {
  let [tokens, longest, rows] = [1, 1, 0];
  for await (const microBatches of steps) {
    for (const pass of coalesce(microBatches, tokenBudget)) {
      const lengths = pass.map(({ example }) => example.length);
      tokens = Math.max(
        tokens,
        lengths.reduce((sum, length) => sum + length, 0),
      );
      longest = Math.max(longest, ...lengths);
      rows += lengths.length;
    }
    if (rows > mostRows) break;
    if (slices.isOver) await slices.turn();
  }
  // Planned as if every token had a label, so that no pass takes more.
  return { tokens, longest, supervised: tokens };
}
