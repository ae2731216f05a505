import { createSampler, type Sampler, type SamplingStrategy } from "@tunesmith/curriculum";
import { expect, test } from "vitest";
import { turns } from "../../../core/src/testing/event-loop-turns.ts";
import { rowsPerBatch } from "./batch-room.ts";
import type { StepBatches } from "./batch-sampler.ts";
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

async function batches(rows: number, options: Partial<EpochOptions> = {}): Promise<EpochBatchSampler> {
  const { lengths = new Array<number>(rows).fill(5) } = options;
  const sampler = await samplerOf("sequential", lengths);
  const plain = { sampler, lengths, limit, accumulation: 4, numTrainEpochs: 3, maxSteps: -1 };
  return EpochBatchSampler.of({ ...plain, ...options });
}

async function stepsOf(steps: EpochBatchSampler, from = 0): Promise<StepBatches[]> {
  const found: StepBatches[] = [];
  for await (const step of steps.steps(from)) found.push(step);
  return found;
}

const shape = async (steps: EpochBatchSampler | Promise<EpochBatchSampler>, from = 0) =>
  (await stepsOf(await steps, from)).map(({ step, microBatches, epochDone, endsEpoch }) => [
    step,
    microBatches.map((m) => m.length).join(),
    epochDone,
    endsEpoch,
  ]);

test("the last micro-batch and the last step of an epoch may be smaller", async () => {
  expect(await shape(batches(13, { numTrainEpochs: 2 }))).toEqual([
    [1, "2,2,2,2", 4 / 7, false],
    [2, "2,2,1", 1, true],
    [3, "2,2,2,2", 1 + 4 / 7, false],
    [4, "2,2,1", 2, true],
  ]);
});

test("a fraction of an epoch is rounded up to whole steps, without rounding errors", async () => {
  expect((await batches(80, { numTrainEpochs: 0.5 })).totalSteps).toBe(5);
  expect((await batches(80, { numTrainEpochs: 0.01 })).totalSteps).toBe(1);
  expect((await batches(80, { numTrainEpochs: 2.1 })).totalSteps).toBe(21);
  expect((await batches(80, { numTrainEpochs: 2.11 })).totalSteps).toBe(22);
});

test("maxSteps wins, and goes over as many epochs as it takes", async () => {
  const steps = await batches(8, { maxSteps: 3 });
  expect(steps.totalSteps).toBe(3);
  expect((await shape(steps)).map(([, , epoch]) => epoch)).toEqual([1, 2, 3]);
});

test("a sampler goes on from any step as if it had never stopped", async () => {
  const steps = await batches(29, { numTrainEpochs: 2.5 });
  const whole = await stepsOf(steps);
  for (let done = 0; done <= whole.length; done += 1) expect(await stepsOf(steps, done)).toEqual(whole.slice(done));
  for (const { microBatches: _, ...place } of whole) expect(steps.at(place.step)).toEqual(place);
  for (let done = 0; done <= whole.length; done += 1)
    expect(steps.epochEnds(done)).toBe(
      whole.slice(done).filter(({ step, endsEpoch }) => endsEpoch || step === steps.totalSteps).length,
    );
  expect(steps.at(0)).toMatchObject({ step: 0, endsEpoch: false });
});

test("epochs of different size are counted each by their own", async () => {
  const lengths = [300, 300, 1, 2, 3, 300];
  const sampler = await samplerOf("staged", lengths);
  const steps = await batches(6, { sampler, lengths, accumulation: 1, numTrainEpochs: 2 });
  expect((await shape(steps)).map(([, sizes, epoch]) => [sizes, epoch])).toEqual([
    ["2", 1 / 2],
    ["1", 1],
    ["2", 1 + 1 / 3],
    ["2", 1 + 2 / 3],
    ["2", 2],
  ]);
});

test("rows that were taken before a measurement count in the epoch that it was made in, and in no other", async () => {
  const sampler: Sampler = {
    measures: "loss",
    warnings: [],
    size: () => 4,
    epoch: async (_, measured) => {
      const { taken, easiestFirst } = measured ?? { taken: new Int32Array(), easiestFirst: new Int32Array() };
      return Int32Array.from([...taken, ...easiestFirst.filter((row) => !taken.includes(row))]);
    },
  };
  const steps = await batches(4, { sampler, limit: { ...limit, rows: 1 }, accumulation: 2, numTrainEpochs: 2 });
  await steps.goBy({ scores: Float32Array.of(4, 3, 2, 1), epoch: 0, taken: Int32Array.of(0, 1) });
  expect([...(await steps.orderAt(2))]).toEqual([0, 1, 3, 2]);
  expect([...(await steps.orderAt(3))]).toEqual([3, 2, 1, 0]);
  expect(await steps.takenAfter(2)).toEqual({ epoch: 1, taken: new Int32Array() });
  expect(await steps.takenAfter(3)).toEqual({ epoch: 1, taken: Int32Array.of(3, 2) });
});

test("a part of the order that the run ends before is named", async () => {
  const parts = [0, 1, 2].map((epoch) => ({ name: `stage ${epoch + 1}`, epoch }));
  const sampler = { ...(await samplerOf("sequential", new Array(8).fill(5))), parts };
  const named = async (options: Partial<EpochOptions>) => (await batches(8, { sampler, ...options })).neverReached();
  expect(await named({ numTrainEpochs: 3 })).toEqual([]);
  expect(await named({ numTrainEpochs: 2 })).toEqual([
    "stage 3 is never trained: the run ends after step 2, before it begins; raise numTrainEpochs",
  ]);
  expect((await named({ maxSteps: 1 })).map((message) => message.slice(0, 7))).toEqual(["stage 2", "stage 3"]);
  expect((await named({ maxSteps: 1 }))[0]).toMatch(/raise maxSteps$/u);
});

test.each([
  [{ rows: 8, tokens: Number.POSITIVE_INFINITY }, 8],
  [{ rows: Number.POSITIVE_INFINITY, tokens: 35 }, 3],
  [{ rows: Number.POSITIVE_INFINITY, tokens: 5 }, 1],
])("rows that a micro-batch of %j has of rows of 10 tokens on average", async (limit, rows) => {
  expect(rowsPerBatch(limit, [5, 15, 10])).toBe(rows);
});

test("by tokens, rows are taken as long as they fit, and a longer one is alone", async () => {
  const lengths = [5, 3, 2, 9, 12, 1, 1, 7, 4];
  const limit = { rows: Number.POSITIVE_INFINITY, tokens: 10 };
  const steps = await batches(9, { lengths, limit, accumulation: 2, numTrainEpochs: 2 });
  const rows = (await stepsOf(steps)).map(({ microBatches, epochDone, endsEpoch }) => [
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
    expect((await stepsOf(steps, done)).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6].slice(done));
  const half = await batches(9, { lengths, limit, accumulation: 2, numTrainEpochs: 1.5 });
  expect(await stepsOf(half)).toEqual((await stepsOf(steps)).slice(0, 5));
});

test("the event loop turns while an order is cut by its tokens, and where a run is needs no order", async () => {
  const lengths = new Int32Array(200_000).fill(5);
  const sampler = await samplerOf("sequential", lengths);
  const asked: number[] = [];
  const counted = {
    ...sampler,
    epoch: (epoch: number) => {
      asked.push(epoch);
      return sampler.epoch(epoch);
    },
  };
  const byTokens = { lengths, sampler: counted, limit: { rows: Number.POSITIVE_INFINITY, tokens: 50 } };
  expect(await turns(() => batches(lengths.length, byTokens))).toBeGreaterThanOrEqual(3 * 12);
  const steps = await batches(lengths.length, { lengths, sampler: counted });
  asked.length = 0;
  expect(steps.at(30_000)).toEqual({ step: 30_000, epochDone: 1.2, endsEpoch: false });
  expect(steps.epochEnds(0)).toBe(3);
  expect(asked).toEqual([]);
});
