import { expect, test } from "vitest";
import type { GenerateOptions } from "./generate.ts";
import type { Generator } from "./generator.ts";
import { type Completion, complete } from "./rollout.ts";

/** Writes the last id of the prompt and those below it down to 1, then a 0 that stops; all prompts in turn. */
function countdown(): Generator {
  async function* generate({ prompts, maxNewTokens = 256 }: GenerateOptions) {
    for (let place = 0; place < maxNewTokens; place += 1)
      for (const [index, prompt] of prompts.entries()) {
        const tokenId = (prompt.at(-1) as number) - place;
        const finishReason = tokenId === 0 ? "stop" : place === maxNewTokens - 1 ? "length" : null;
        if (tokenId >= 0) yield { index, sample: 0, tokenId, logProb: null, finishReason } as const;
      }
  }
  const logProbs = async ({ labels }: { labels: Int32Array }) => ({ logProb: Float32Array.from(labels, (id) => -id) });
  return { generate, logProbs } as unknown as Generator;
}

const prompts = [Int32Array.of(9, 2), Int32Array.of(7)];

test("answers come by prompt and sample, and are told of as they end", async () => {
  const told: Completion[] = [];
  const options = { prompts, maxNewTokens: 4, numReturnSequences: 2 };
  const all = await complete(countdown(), options, (completion) => told.push(completion));
  for (const [prompt, tokenIds, finishReason] of [
    [0, Int32Array.of(2, 1, 0), "stop"],
    [1, Int32Array.of(7, 6, 5, 4), "length"],
  ] as const)
    for (const sample of [0, 1])
      expect(all[prompt]?.[sample]).toEqual({ prompt, sample, tokenIds, logProbs: null, finishReason });
  expect(told).toEqual(all.flat());
});

test("log-probabilities are those of the tokens written", async () => {
  const all = await complete(countdown(), { prompts, maxNewTokens: 4, logProbs: true });
  expect(all.map(([first]) => first?.logProbs)).toEqual([Float32Array.of(-2, -1, -0), Float32Array.of(-7, -6, -5, -4)]);
});

test("samples that are no positive integer are refused", async () => {
  for (const numReturnSequences of [0, 1.5])
    await expect(complete(countdown(), { prompts, numReturnSequences })).rejects.toThrow("numReturnSequences");
});
