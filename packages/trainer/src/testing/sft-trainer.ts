// A trainer of six steps on the fake model, for tests of supervised fine-tuning.
import { onTestFinished } from "vitest";
import { SFTTrainer, type SFTTrainerOptions } from "../index.ts";
import { type FakeOptions, fakeModel } from "./fake-session.ts";
import { conversations, scratchFolder } from "./scratch.ts";

/** A trainer of six steps with a run folder of its own. */
export async function trainer(args: object = {}, fake: FakeOptions = {}, more: Partial<SFTTrainerOptions> = {}) {
  const outputDir = await scratchFolder(onTestFinished);
  const made = new SFTTrainer({
    model: fakeModel(fake),
    trainDataset: conversations(20),
    evalDataset: conversations(5),
    args: {
      outputDir,
      maxLength: 512,
      numTrainEpochs: 2,
      perDeviceTrainBatchSize: 4,
      gradientAccumulationSteps: 2,
      ...args,
    },
    ...more,
  });
  return { trainer: made, outputDir };
}
