import { grpoConfigSchema, OptionError, parseOptions } from "@tunesmith/core";
import { expect, test } from "vitest";
import { generationBatches } from "./generation-batches.ts";
import { generationSizes } from "./generation-sizes.ts";
import { doubtfulLoss, lossSettings } from "./loss-settings.ts";

const sizes = (options: object) => generationSizes(parseOptions(grpoConfigSchema, options));

test.each([
  [
    { perDeviceTrainBatchSize: 3, numGenerations: 2 },
    /\[numGenerations\] .*generation's 3 completions .*, got 2; give stepsPerGeneration 2 or a multiple of it, or numGenerations 3$/u,
  ],
  [
    { perDeviceTrainBatchSize: 6, numGenerations: 8 },
    /give stepsPerGeneration 4 or a multiple of it, or numGenerations 2, 3, 6$/u,
  ],
  [
    { perDeviceTrainBatchSize: 4, generationBatchSize: 8, stepsPerGeneration: 2 },
    /\[generationBatchSize\] expected one of generationBatchSize and stepsPerGeneration, got 8 and 2; leave one out/u,
  ],
  [{ perDeviceTrainBatchSize: 4, numGenerations: 1 }, /\[numGenerations\]/u],
  [
    { perDeviceTrainBatchSize: 4, generationBatchSize: 10, numGenerations: 2 },
    /\[generationBatchSize\] expected a multiple of perDeviceTrainBatchSize 4, got 10; give 8 or 12$/u,
  ],
  [{ perDeviceTrainBatchSize: 4, generationBatchSize: 2, numGenerations: 2 }, /got 2; give 4$/u],
  [{ perDeviceTrainBatchSize: 4, numGenerations: 2, autoFindBatchSize: true }, /\[autoFindBatchSize\]/u],
  [{ perDeviceTrainBatchSize: 4, numGenerations: 2, maxTokensPerBatch: 100 }, /\[maxTokensPerBatch\]/u],
])("%j is refused with the numbers that would work", (options, message) => {
  expect(() => sizes(options)).toThrow(OptionError);
  expect(() => sizes(options)).toThrow(message);
});

test("a generation has as many micro-batches as a step, or as many as are asked for", () => {
  const accumulated = { perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 2, numGenerations: 4 };
  expect(sizes(accumulated)).toMatchObject({ generationBatchSize: 8, stepsPerGeneration: 2, promptsPerGeneration: 2 });
  expect(sizes({ ...accumulated, stepsPerGeneration: 3 })).toMatchObject({ generationBatchSize: 12 });
  expect(sizes({ ...accumulated, generationBatchSize: 16 })).toMatchObject({ stepsPerGeneration: 4 });
});

const batchesOf = (rows: number, options: object) =>
  generationBatches(parseOptions(grpoConfigSchema, options), {
    lengths: new Int32Array(rows).fill(3),
    facts: (row) => ({ length: 3, turns: 1, trainedTokens: 0, rowIds: [row] }),
  });

test("fewer rows than a generation has prompts are refused by name, and rows that are left out are told", async () => {
  const options = { perDeviceTrainBatchSize: 8, numGenerations: 2 };
  await expect(batchesOf(3, options)).rejects.toThrow(
    /\[trainDataset\] expected at least 4 rows, the prompts of a generation of 8 completions, got 3;/u,
  );
  expect((await batchesOf(9, options)).warnings).toEqual([expect.stringMatching(/^1 of 9 rows are not answered/u)]);
  expect((await batchesOf(8, options)).warnings).toEqual([]);
  await expect(batchesOf(8, { ...options, trainSamplingStrategy: "competence", difficulty: "loss" })).rejects.toThrow(
    /\[difficulty\]/u,
  );
});

test("a step goes on in the middle of a generation, as if the steps before it had been asked for", async () => {
  const { batches } = await batchesOf(12, {
    ...{ perDeviceTrainBatchSize: 4, gradientAccumulationSteps: 1, stepsPerGeneration: 2, numIterations: 2 },
    ...{ numGenerations: 4, numTrainEpochs: 3 },
  });
  const all = [];
  for await (const step of batches.steps(0)) all.push(step);
  expect(all).toHaveLength(6 * 4 * 3);
  const later = [];
  for await (const step of batches.steps(31)) later.push(step);
  expect(later).toEqual(all.slice(31));
  // A micro-batch is no whole group.
  const groups = all.map(({ microBatches: [rows] }) => new Set(rows).size);
  expect(Math.max(...groups)).toBeGreaterThan(1);
});

test("options that would have no effect are refused, and those that are rarely meant are told", () => {
  const settings = (options: object) => lossSettings(parseOptions(grpoConfigSchema, options));
  const doubts = (options: object) => doubtfulLoss(parseOptions(grpoConfigSchema, options));
  expect(() => settings({ lossType: "sapo", delta: 2 })).toThrow(/\[delta\] expected none with sapo/u);
  expect(() => settings({ useAdaptiveEntropy: true, entropyCoefMin: 2 })).toThrow(/\[entropyCoefMin\]/u);
  expect(settings({ epsilon: 0.1 })).toMatchObject({ epsilon: 0.1, epsilonHigh: 0.1, lossType: "dapo" });
  expect(doubts({})).toEqual([]);
  expect(doubts({ lossType: "cispo" })).toEqual([expect.stringContaining("its paper takes 5")]);
  expect(doubts({ lossType: "cispo", epsilonHigh: 5 })).toEqual([]);
  expect(doubts({ lossType: "luspo" })).toEqual([expect.stringContaining("importanceSamplingLevel sequence")]);
  expect(doubts({ delta: 1.1 })).toEqual([expect.stringContaining("1 + epsilonHigh = 1.2")]);
  expect(parseOptions(grpoConfigSchema, { scaleRewards: false }).scaleRewards).toBe("none");
});
