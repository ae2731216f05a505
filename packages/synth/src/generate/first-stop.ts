// Where a continuation ends that was to be ended by one of some texts.

/** Where the first of some texts that end a continuation stands in it; null where none does. */
export function firstStop(text: string, stop: readonly string[]): number | null {
  const ends = stop.map((end) => text.indexOf(end)).filter((at) => at !== -1);
  return ends.length === 0 ? null : Math.min(...ends);
}
