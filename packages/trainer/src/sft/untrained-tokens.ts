// Tokens of rows that the model was never trained with.
import type { Example } from "@tunesmith/data";

/**
 * Those that the rows of a step hold, in their order.
 *
 * @param untrained tokens whose rows of the embedding hold nothing, and stay so
 */
export function untrainedIn(
  untrained: readonly number[],
  microBatches: readonly (readonly Example[])[],
): readonly number[] {
  if (untrained.length === 0) return [];
  const looked = new Set(untrained);
  const found = new Set<number>();
  for (const { ids } of microBatches.flat()) for (const id of ids) if (looked.has(id)) found.add(id);
  return [...found];
}
