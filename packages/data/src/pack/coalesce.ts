// Joins the sequences of several micro-batches into as few packed passes as the budget allows.

/** A sequence of a pass and the micro-batch that it is counted with. */
interface Of<T> {
  example: T;
  microBatch: number;
}

/**
 * Joins the sequences of several micro-batches into as few packed passes as the budget allows, in order. A sequence is never
 * split: one longer than the budget is a pass of its own.
 *
 * @param tokenBudget tokens of a pass
 */
export function coalesce<T extends { readonly length: number }>(
  microBatches: readonly (readonly T[])[],
  tokenBudget: number,
): Of<T>[][] {
  const passes: Of<T>[][] = [];
  let room = 0;
  for (const [microBatch, examples] of microBatches.entries()) {
    for (const example of examples) {
      if (passes.length === 0 || example.length > room) {
        passes.push([]);
        room = tokenBudget;
      }
      passes.at(-1)?.push({ example, microBatch });
      room -= example.length;
    }
  }
  return passes;
}
