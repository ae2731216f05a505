// What a model says of the trained tokens of rows: loss, perplexity, accuracy.
import type { Generator } from "@tunesmith/core";
import { coalesce, collate, type Example } from "@tunesmith/data";
import { emptySums, type RowValues } from "./sums.ts";

/** How rows are scored. */
export interface LikelihoodOptions {
  /** Tokens of a pass. */
  tokenBudget: number;
  signal: AbortSignal;
  /** Told how many rows are scored. */
  onRows: (rows: number) => void;
}

/**
 * Loss, perplexity and accuracy by row, as many rows in a pass as the budget allows. Throws the signal's reason between two passes.
 * A token counts with its weight in the loss, and as one in the accuracy.
 */
export async function likelihood(
  session: Pick<Generator, "evaluate">,
  examples: readonly Example[],
  { tokenBudget, signal, onRows }: LikelihoodOptions,
): Promise<RowValues[]> {
  const [loss, accuracy] = [emptySums(examples.length), emptySums(examples.length)];
  const passes = coalesce(
    examples.map((example) => [example]),
    tokenBudget,
  );
  for (const placed of passes) {
    signal.throwIfAborted();
    const sums = await session.evaluate(collate(placed));
    for (const [n, { microBatch: row }] of placed.entries()) {
      loss.sum[row] = sums.lossSum[n] as number;
      loss.weight[row] = sums.weightSum[n] as number;
      accuracy.sum[row] = sums.correct[n] as number;
      accuracy.weight[row] = sums.tokens[n] as number;
    }
    onRows((placed.at(-1)?.microBatch ?? 0) + 1);
  }
  return [
    { metric: "loss", better: "lower", isExponential: false, ...loss },
    { metric: "perplexity", better: "lower", isExponential: true, ...loss },
    { metric: "tokenAccuracy", better: "higher", isExponential: false, ...accuracy },
  ];
}
