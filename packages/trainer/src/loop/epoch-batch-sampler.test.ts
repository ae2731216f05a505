import { createSampler, type SamplingStrategy } from "@tunesmith/curriculum";
import { expect, test } from "vitest";
import { rowsPerBatch } from "./batch-room.ts";
import { EpochBatchSampler, type EpochOptions } from "./epoch-batch-sampler.ts";

const limit = { rows: 2, tokens: Number.POSITIVE_INFINITY };

function samplerOf(strategy: SamplingStrategy, lengths: ArrayLike<number>) {
  const options = {
    competenceSteps: null,
    initialCompetence: 0.01,
    stages: null,
    simpleMaxLength: 256,
    hardShare: 0,
    difficulty: "length",
    reverse: false,
  } as const;
  const row = (index: number) => ({ length: lengths[index] as number, turns: 2, trainedTokens: 1, rowIds: [index] });
  return createSampler({ ...options, strategy }, { lengths, seed: 0, batchSize: 8, fixedBatches: true, row });
}

function batches(rows: number, options: Partial<EpochOptions> = {}): EpochBatchSampler {
  const { lengths = new Array<number>(rows).fill(5) } = options;
  const sampler = samplerOf("sequential", lengths);
  const plain = { sampler, lengths, limit, accumulation: 4, numTrainEpochs: 3, maxSteps: -1 };
  return new EpochBatchSampler({ ...plain, ...options });
}

const shape = (steps: EpochBatchSampler, from = 0) =>
  [...steps.steps(from)].map(({ step, microBatches, epochDone, endsEpoch }) => [
    step,
    microBatches.map((m) => m.length).join(),
    epochDone,
    endsEpoch,
  ]);

test("the last micro-batch and the last step of an epoch may be smaller", () => {
  expect(shape(batches(13, { numTrainEpochs: 2 }))).toEqual([
    [1, "2,2,2,2", 4 / 7, false],
    [2, "2,2,1", 1, true],
    [3, "2,2,2,2", 1 + 4 / 7, false],
    [4, "2,2,1", 2, true],
  ]);
});

test("a fraction of an epoch is rounded up to whole steps, without rounding errors", () => {
  expect(batches(80, { numTrainEpochs: 0.5 }).totalSteps).toBe(5);
  expect(batches(80, { numTrainEpochs: 0.01 }).totalSteps).toBe(1);
  expect(batches(80, { numTrainEpochs: 2.1 }).totalSteps).toBe(21);
  expect(batches(80, { numTrainEpochs: 2.11 }).totalSteps).toBe(22);
});

test("maxSteps wins, and goes over as many epochs as it takes", () => {
  const steps = batches(8, { maxSteps: 3 });
  expect(steps.totalSteps).toBe(3);
  expect(shape(steps).map(([, , epoch]) => epoch)).toEqual([1, 2, 3]);
});

test("a sampler goes on from any step as if it had never stopped", () => {
  const steps = batches(29, { numTrainEpochs: 2.5 });
  const whole = [...steps.steps(0)];
  for (let done = 0; done <= whole.length; done += 1) expect([...steps.steps(done)]).toEqual(whole.slice(done));
  for (const step of whole) expect(step).toMatchObject(steps.at(step.step));
  for (let done = 0; done <= whole.length; done += 1)
    expect(steps.epochEnds(done)).toBe(
      whole.slice(done).filter(({ step, endsEpoch }) => endsEpoch || step === steps.totalSteps).length,
    );
  expect(steps.at(0)).toMatchObject({ step: 0, endsEpoch: false });
});

test("epochs of different size are counted each by their own", () => {
  const lengths = [300, 300, 1, 2, 3, 300];
  const sampler = samplerOf("staged", lengths);
  const steps = batches(6, { sampler, lengths, accumulation: 1, numTrainEpochs: 2 });
  expect(shape(steps).map(([, sizes, epoch]) => [sizes, epoch])).toEqual([
    ["2", 1 / 2],
    ["1", 1],
    ["2", 1 + 1 / 3],
    ["2", 1 + 2 / 3],
    ["2", 2],
  ]);
});

test("a part of the order that the run ends before is named", () => {
  const parts = [0, 1, 2].map((epoch) => ({ name: `stage ${epoch + 1}`, epoch }));
  const sampler = { ...samplerOf("sequential", new Array(8).fill(5)), parts };
  const named = (options: Partial<EpochOptions>) => batches(8, { sampler, ...options }).neverReached();
  expect(named({ numTrainEpochs: 3 })).toEqual([]);
  expect(named({ numTrainEpochs: 2 })).toEqual([
    "stage 3 is never trained: the run ends after step 2, before it begins; raise numTrainEpochs",
  ]);
  expect(named({ maxSteps: 1 }).map((message) => message.slice(0, 7))).toEqual(["stage 2", "stage 3"]);
  expect(named({ maxSteps: 1 })[0]).toMatch(/raise maxSteps$/u);
});

test.each([
  [{ rows: 8, tokens: Number.POSITIVE_INFINITY }, 8],
  [{ rows: Number.POSITIVE_INFINITY, tokens: 35 }, 3],
  [{ rows: Number.POSITIVE_INFINITY, tokens: 5 }, 1],
])("rows that a micro-batch of %j has of rows of 10 tokens on average", (limit, rows) => {
  expect(rowsPerBatch(limit, [5, 15, 10])).toBe(rows);
});

test("by tokens, rows are taken as long as they fit, and a longer one is alone", () => {
  const lengths = [5, 3, 2, 9, 12, 1, 1, 7, 4];
  const steps = batches(9, {
    lengths,
    limit: { rows: Number.POSITIVE_INFINITY, tokens: 10 },
    accumulation: 2,
    numTrainEpochs: 2,
  });
  const rows = [...steps.steps(0)].map(({ microBatches, epochDone, endsEpoch }) => [
    microBatches.map((rows) => [...rows].join()),
    epochDone,
    endsEpoch,
  ]);
  expect(rows.slice(0, 3)).toEqual([
    [["0,1,2", "3"], 2 / 5, false],
    [["4", "5,6,7"], 4 / 5, false],
    [["8"], 1, true],
  ]);
  expect(steps.totalSteps).toBe(6);
  for (let done = 0; done <= 6; done += 1)
    expect([...steps.steps(done)].map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6].slice(done));
});
