// Conversations of the lengths of GSM8K, made from a seed: the rows of the data benchmark.

import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";

const words =
  "a the of and to in is for that with on as by at from each every one two three four five six seven eight nine ten many more less half twice total left price cost dollars cents hours minutes days weeks miles boxes apples books students tickets pages how much does she he they have buy sell read walk save spend if then so because after before first next finally".split(
    " ",
  );

/** Numbers below `limit`, from a seed (a linear congruential generator). */
function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Words of a question and of its answer: at least, and less than. */
const lengths = {
  gsm8k: { question: [25, 70], answer: [30, 160] },
  short: { question: [5, 20], answer: [5, 30] },
} as const;

/** Writes rows of a question and its answer as conversational prompt and completion, which both sides mask without marks in a template. */
export async function writeRows(path: string, count: number, like: keyof typeof lengths = "gsm8k"): Promise<void> {
  const { question, answer } = lengths[like];
  const random = generator(7);
  const text = ([least, most]: readonly [number, number]) =>
    Array.from({ length: least + random(most - least) }, () =>
      random(9) === 0 ? String(random(1000)) : words[random(words.length)],
    ).join(" ");
  const out = createWriteStream(path);
  for (let n = 0; n < count; n += 1) {
    const row = {
      prompt: [{ role: "user", content: `${text(question)}?` }],
      completion: [{ role: "assistant", content: `${text(answer)}.\n#### ${n}` }],
    };
    if (!out.write(`${JSON.stringify(row)}\n`)) await once(out, "drain");
  }
  out.end();
  await finished(out);
}
