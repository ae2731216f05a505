import { expect, test } from "vitest";
import { forGenerations, generationSeed, shuffledCompletions } from "./generations.ts";

test("each chunk of prompts comes again and again, each prompt several times in a row", async () => {
  const sampler = {
    size: () => 5,
    epoch: async (epoch: number) => Int32Array.of(4, 2, 0, 1, 3).map((row) => row + 10 * epoch),
    warnings: ["as it was"],
  };
  const arranged = forGenerations(sampler, { prompts: 2, samples: 2, repeats: 3 });
  expect(arranged.size(0)).toBe(24);
  expect(arranged.warnings).toEqual(["as it was"]);
  const chunk = (a: number, b: number) => Array.from({ length: 3 }, () => [a, a, b, b]).flat();
  expect(Array.from(await arranged.epoch(1))).toEqual([...chunk(14, 12), ...chunk(10, 11)]);
  expect(forGenerations(sampler, { prompts: 6, samples: 2, repeats: 1 }).size(0)).toBe(0);
});

test("completions are shuffled by seed and generation, and each generation has a seed of its own", () => {
  const shuffled = shuffledCompletions(32, 7, 3);
  expect(Array.from(shuffled).sort((a, b) => a - b)).toEqual(Array.from({ length: 32 }, (_, n) => n));
  expect(shuffledCompletions(32, 7, 3)).toEqual(shuffled);
  expect(shuffledCompletions(32, 7, 4)).not.toEqual(shuffled);
  expect(shuffledCompletions(32, 8, 3)).not.toEqual(shuffled);
  const seeds = [0, 1, 2, 3].flatMap((n) => [generationSeed(7, n), generationSeed(8, n)]);
  expect(new Set(seeds).size).toBe(8);
  expect(seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0)).toBe(true);
  expect(generationSeed(7, 2)).toBe(seeds[4]);
});
