import { join } from "node:path";
import { OptionError } from "@tunesmith/core";
import type { SamplerContext, SamplerFactory } from "@tunesmith/curriculum";
import { collate, type Placed } from "@tunesmith/data";
import { expect, test } from "vitest";
import { ofType, record } from "../testing/record.ts";
import { trainer } from "../testing/sft-trainer.ts";

const args = { maxSteps: 4, perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 1, saveSteps: 2 };

/** Rows longest first, in every epoch. */
const longestFirst = ({ lengths }: { lengths: ArrayLike<number> }) => {
  const order = Array.from(lengths, (_, row) => row).sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0));
  return { size: () => order.length, epoch: () => order };
};

test("rows come in the order of a program's sampler, and a resumed run goes on in it", async () => {
  const seen: number[][] = [];
  const dataCollator = (sequences: readonly Placed[]) => {
    seen.push(sequences.map(({ example }) => example.rowId));
    return collate(sequences);
  };
  const functions = { sampler: longestFirst, dataCollator, evalDataset: null };
  const { trainer: whole, outputDir } = await trainer(args, {}, functions);
  const { lossHash } = await whole.train();
  const [all] = [seen.splice(0)];
  expect(new Set(all.flat()).size).toBe(8);
  const { trainer: again } = await trainer({ ...args, outputDir }, {}, functions);
  const { events } = await record(again.train({ resumeFromCheckpoint: join(outputDir, "checkpoint-2") }));
  expect(seen).toEqual(all.slice(2));
  expect(ofType(events, "done")[0]?.result.lossHash).toBe(lossHash);
});

test("a resumed run whose sampler gives another order is refused", async () => {
  const { trainer: whole, outputDir } = await trainer(args, {}, { sampler: longestFirst });
  await whole.train();
  const resumed = async (sampler: SamplerFactory) => {
    const { trainer: again } = await trainer({ ...args, outputDir }, {}, { sampler });
    return again.train({ resumeFromCheckpoint: join(outputDir, "checkpoint-2") });
  };
  const other = ({ lengths }: SamplerContext) => {
    const { size, epoch } = longestFirst({ lengths });
    return { size, epoch: () => epoch().toReversed() };
  };
  await expect(resumed(other)).rejects.toThrow(/\[sampler\] expected the order of rows that the run began with/u);
  await expect(resumed(longestFirst)).resolves.toMatchObject({ globalStep: 4 });
});

test("a program's collator decides what is trained", async () => {
  // Nothing but the last token of each sequence.
  const dataCollator = (sequences: readonly Placed[]) => {
    const batch = collate(sequences);
    const last = new Set(batch.sequenceStarts.subarray(1).map((end) => end - 1));
    return { ...batch, labels: batch.labels.map((label, t) => (last.has(t) ? label : -100)) };
  };
  const { trainer: made } = await trainer(args, {}, { dataCollator });
  const { events } = await record(made.train());
  const { trainer: plain } = await trainer(args);
  const { events: others } = await record(plain.train());
  const losses = (of: typeof events) => ofType(of, "step").map(({ loss }) => loss);
  expect(losses(events)).not.toEqual(losses(others));
});

test("a collator that loses a sequence, and a sampler of other rows, are named", async () => {
  const { trainer: lost } = await trainer(args, {}, { dataCollator: (sequences) => collate(sequences.slice(1)) });
  await expect(lost.train()).rejects.toThrow(/\[dataCollator\] expected a batch of the 2 sequences.*a batch of 1/u);
  const { trainer: beyond } = await trainer(args, {}, { sampler: () => ({ size: () => 2, epoch: () => [0, 99] }) });
  await expect(beyond.train()).rejects.toThrow(OptionError);
});
