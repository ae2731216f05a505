// The largest number that still fits, in few questions.

/**
 * The largest number from 1 to `most` that fits, by doubling and then bisection; 0 where 1 does not. What fits must fit with every smaller
 * number too.
 */
export async function mostThatFits(fits: (amount: number) => Promise<boolean>, most: number): Promise<number> {
  let [fitting, tooLarge] = [0, 1];
  while (tooLarge <= most && (await fits(tooLarge))) [fitting, tooLarge] = [tooLarge, 2 * tooLarge];
  tooLarge = Math.min(tooLarge, most + 1);
  while (tooLarge - fitting > 1) {
    const middle = Math.floor((fitting + tooLarge) / 2);
    if (await fits(middle)) fitting = middle;
    else tooLarge = middle;
  }
  return fitting;
}
