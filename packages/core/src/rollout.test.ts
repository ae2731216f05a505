import { expect, test } from "vitest";
import type { GenerateOptions } from "./generate.ts";
import type { Generator } from "./generator.ts";
import { type Completion, complete } from "./rollout.ts";

/** Writes the last id of the prompt and those below it down to 1, then a 0 that stops; all samples in turn. */
function countdown(): Pick<Generator, "generate"> {
  return {
    async *generate({ prompts, maxNewTokens = 256, numReturnSequences = 1, logProbs = false }: GenerateOptions) {
      for (let place = 0; place < maxNewTokens; place += 1)
        for (const [index, prompt] of prompts.entries())
          for (let sample = 0; sample < numReturnSequences; sample += 1) {
            const tokenId = (prompt.at(-1) as number) - place;
            const finishReason = tokenId === 0 ? "stop" : place === maxNewTokens - 1 ? "length" : null;
            const logProb = logProbs ? -tokenId - sample : null;
            if (tokenId >= 0) yield { index, sample, tokenId, logProb, finishReason } as const;
          }
    },
  };
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
  const options = { prompts, maxNewTokens: 4, logProbs: true, numReturnSequences: 2 };
  const all = await complete(countdown(), options);
  expect(all.map((samples) => samples.map(({ logProbs }) => logProbs))).toEqual([
    [Float32Array.of(-2, -1, -0), Float32Array.of(-3, -2, -1)],
    [Float32Array.of(-7, -6, -5, -4), Float32Array.of(-8, -7, -6, -5)],
  ]);
});
