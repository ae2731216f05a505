import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { SFTTrainer, type TrainEvent } from "./index.ts";
import { fakeModel } from "./testing/fake-session.ts";
import { conversations, scratchFolder } from "./testing/scratch.ts";

test("trains end to end, and tells what it does in order", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const trainer = new SFTTrainer({
    model: fakeModel(),
    trainDataset: conversations(20),
    evalDataset: conversations(5),
    args: {
      outputDir,
      numTrainEpochs: 2,
      perDeviceTrainBatchSize: 4,
      gradientAccumulationSteps: 2,
      saveSteps: 4,
      evalSteps: 3,
      evalOnStart: true,
      sampleEverySteps: 3,
    },
  });
  const run = trainer.train();
  const events: TrainEvent[] = [];
  for await (const event of run) events.push(event);
  const result = await run;
  expect(result.globalStep).toBe(6);
  expect(events.map((event) => event.type).join(" ")).toMatchInlineSnapshot(
    `"prepared warning eval step log step log step log eval sample sample sample step log checkpoint step log step log eval sample sample sample checkpoint done"`,
  );
  const lines = (await readFile(join(outputDir, "metrics.jsonl"), "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map((line) => line.step)).toEqual([0, 1, 2, 3, 3, 4, 5, 6, 6]);
  expect(lines.at(-1).eval_loss).toBeLessThan(lines[0].eval_loss - 1);
});
