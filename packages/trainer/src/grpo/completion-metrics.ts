// What is logged of the lengths of a generation's completions, by TRL's names.

/** Tokens of the completions, and of those that came to an end. */
export function completionMetrics(
  completions: readonly { ids: Int32Array; isTruncated: boolean }[],
): Record<string, number> {
  const lengths = completions.map(({ ids }) => ids.length);
  const ended = completions.filter(({ isTruncated }) => !isTruncated).map(({ ids }) => ids.length);
  // Without one that ended TRL has 0.
  const terminated = ended.length === 0 ? [0] : ended;
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    "completions/mean_length": mean(lengths),
    "completions/min_length": Math.min(...lengths),
    "completions/max_length": Math.max(...lengths),
    "completions/clipped_ratio": 1 - ended.length / completions.length,
    "completions/mean_terminated_length": mean(terminated),
    "completions/min_terminated_length": Math.min(...terminated),
    "completions/max_terminated_length": Math.max(...terminated),
  };
}
