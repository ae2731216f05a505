// How many cases a test tries, so that a nightly run may ask for more of them.

/** Whether a nightly run asks for many cases. */
export const isNightly = process.env.TRIALS !== undefined;

/** Cases to try: as many as fit into `npm test`, or what a nightly run asks for. */
export const trials = (usual: number): number => Number(process.env.TRIALS ?? usual);

/** Tells a nightly run how many cases there were, and what else there is to say of them. */
export function tried(cases: number, note = ""): void {
  if (isNightly) console.log(`tried ${cases}${note && `: ${note}`}`);
}

/** Of `count` cases the numbers of those to try: all of them in a nightly run, else `usual` many from the first to the last. */
export function spread(count: number, usual: number): number[] {
  const chosen = Math.min(isNightly ? count : usual, count);
  return Array.from({ length: chosen }, (_, n) => Math.round((n * (count - 1)) / Math.max(1, chosen - 1)));
}

/** Limit for a test whose length is asked for: a day, in milliseconds. */
export const aDay = 86_400_000;
