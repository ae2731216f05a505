// Texts for the similarity benchmark, made from a seed: instructions of a few words, rows of which some are nearly an earlier one.

const words = 20_000;

/** Numbers below `limit`, from a seed (a linear congruential generator). */
function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Words as a language has them: the n-th is about as frequent as 1/n. */
function text(random: (limit: number) => number, least: number, most: number): string[] {
  const zipf = () => Math.floor(words ** (random(1 << 24) / 2 ** 24)) - 1;
  return Array.from({ length: least + random(most - least) }, () => `w${zipf()}`);
}

/** Instructions of 5 to 34 words. */
export function instructions(count: number): string[] {
  const random = generator(11);
  return Array.from({ length: count }, () => text(random, 5, 35).join(" "));
}

/** Rows of 30 to 149 words; each tenth is an earlier one with up to three words changed. */
export function rows(count: number): string[] {
  const random = generator(13);
  const made: string[][] = [];
  for (let n = 0; n < count; n += 1) {
    const row = n % 10 === 9 ? [...(made[random(n)] as string[])] : text(random, 30, 150);
    if (n % 10 === 9) for (let change = random(4); change > 0; change -= 1) row[random(row.length)] = `x${random(1e6)}`;
    made.push(row);
  }
  return made.map((row) => row.join(" "));
}
