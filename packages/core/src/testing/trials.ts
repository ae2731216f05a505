// How many cases a test tries, so that a nightly run may ask for more of them.

const { TRIALS: asked, TRIAL_SECONDS: seconds } = process.env;

/** Whether a nightly run asks for many cases. */
export const isNightly = asked !== undefined || seconds !== undefined;

/** Cases to try: as many as fit into `npm test`, or what a nightly run asks for. */
export const trials = (usual: number): number => Number(asked ?? usual);

/** Numbers of the cases to try, from 1: as many as {@link trials} says, or in a nightly run with a time those that fit into it. */
export function* cases(usual: number): Generator<number, void> {
  const count = seconds === undefined ? trials(usual) : Number.POSITIVE_INFINITY;
  const end = seconds === undefined ? Number.POSITIVE_INFINITY : performance.now() + 1000 * Number(seconds);
  for (let n = 1; n <= count && performance.now() < end; n += 1) yield n;
}

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
