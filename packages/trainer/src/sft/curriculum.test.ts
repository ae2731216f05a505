import { join } from "node:path";
import { OptionError } from "@tunesmith/core";
import { stagedSampler, weightedSampler } from "@tunesmith/curriculum";
import { collate, type Placed } from "@tunesmith/data";
import { expect, onTestFinished, test, vi } from "vitest";
import { SFTTrainer, type SFTTrainerOptions } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";

// Many runs with all their syncing; a busy disk takes its time.
vi.setConfig({ testTimeout: 120_000 });

const maxSteps = 7;
const plain = { maxSteps, perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 1, saveSteps: 1, maxLength: 60 };

/** Conversations, of which each third has three turns more. */
const rows = conversations(9).map((row, n) => (n % 3 === 0 ? { messages: [...row.messages, ...row.messages] } : row));

/** A run with the rows of each of its steps. */
async function runOf(args: object, outputDir: string, more: Partial<SFTTrainerOptions> = {}, from?: number) {
  const steps: number[][] = [];
  const dataCollator = (sequences: readonly Placed[]) => {
    steps.push(sequences.map(({ example }) => example.rowId));
    return collate(sequences);
  };
  const options = { model: fakeModel(), trainDataset: rows, dataCollator, ...more };
  const trainer = new SFTTrainer({ ...options, args: { ...plain, ...args, outputDir } });
  const { events, error } = await record(
    trainer.train(from === undefined ? {} : { resumeFromCheckpoint: join(outputDir, `checkpoint-${from}`) }),
  );
  if (error !== null) throw error;
  return { steps, result: ofType(events, "done")[0]?.result };
}

const stages = [{ maxLength: 22, hardShare: 0.3 }, { minTurns: 4, steps: 1 }, {}];

test.each<[string, object, Partial<SFTTrainerOptions>?]>([
  ["group_by_length", { trainSamplingStrategy: "group_by_length" }],
  ["the preset, reversed", { trainSamplingStrategy: "staged", simpleMaxLength: 22, reverseCurriculum: true }],
  ["stages", { trainSamplingStrategy: "staged", stages }],
  ["stages of packed rows", { trainSamplingStrategy: "staged", packing: true, stages: [{ minTurns: 4 }, {}] }],
  ["competence", { trainSamplingStrategy: "competence", competenceSteps: 6 }],
  ["weights of a program", {}, { sampler: weightedSampler(({ turns }) => turns) }],
  ["stages of a program", {}, { sampler: stagedSampler({ stages: [{ where: ({ rowIds }) => rowIds[0] === 4 }, {}] }) }],
])("%s: a run goes on from any step with the rows that it would have seen", async (_, args, more = {}) => {
  const outputDir = await scratchFolder(onTestFinished);
  const whole = await runOf(args, outputDir, more);
  for (let step = 1; step < maxSteps; step += 1) {
    const rest = await runOf(args, outputDir, more, step);
    expect(rest.steps).toEqual(whole.steps.slice(step));
    expect(rest.result?.lossHash).toBe(whole.result?.lossHash);
  }
});

test("stages take the rows that fit them, one stage after another, and those that a run does not reach are named", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const args = { trainSamplingStrategy: "staged", maxSteps: 2, stages: [{ minTurns: 4 }, {}, {}] };
  const { steps, result } = await runOf(args, outputDir);
  expect(steps.flat().sort()).toEqual([0, 3, 6]);
  expect(result?.warnings.filter((message) => message.includes("never trained"))).toEqual([
    expect.stringMatching(/^stage 2 \(every row\) is never trained: the run ends after step 2/u),
    expect.stringMatching(/^stage 3/u),
  ]);
});

test("a stage that no row fits ends the run before it begins", async () => {
  const args = { trainSamplingStrategy: "staged", stages: [{ minTurns: 9 }, {}] };
  const run = runOf(args, await scratchFolder(onTestFinished));
  await expect(run).rejects.toThrow(OptionError);
  await expect(run).rejects.toThrow(/stage 1 \(at least 9 turns\), got none: the most turns are 4/u);
});
