import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { digestFile } from "@tunesmith/core";
import { expect, onTestFinished, test, vi } from "vitest";
import { SFTTrainer, type TrainEvent } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";

vi.setConfig({ testTimeout: 60_000 });

/** Evaluates and saves at every step of ten; the losses are given. */
function trainer(
  outputDir: string,
  evalLosses: number[],
  more: { args?: object; rows?: number; stopAt?: number; onEvent?: (event: TrainEvent) => Promise<void> } = {},
) {
  const controller = new AbortController();
  const made = new SFTTrainer({
    model: fakeModel({ evalLosses }),
    trainDataset: conversations(14),
    evalDataset: conversations(more.rows ?? 5),
    args: {
      outputDir,
      maxLength: 512,
      maxSteps: 10,
      evalSteps: 1,
      saveSteps: 1,
      tokenBudget: 100_000,
      loadBestModelAtEnd: true,
      ...more.args,
    },
    callbacks: [
      async (event) => {
        if (event.type === "step" && event.step === more.stopAt) controller.abort();
        await more.onEvent?.(event);
      },
    ],
  });
  return (resumeFromCheckpoint: boolean) => record(made.train({ resumeFromCheckpoint, signal: controller.signal }));
}

/** A run that was stopped in its step 5 and whose best was step 2. */
async function stopped(args: object = {}): Promise<string> {
  const outputDir = await scratchFolder(onTestFinished);
  await trainer(outputDir, [5, 1, 4, 4, 4], { args, stopAt: 5 })(false);
  return outputDir;
}

const warningsOf = (events: readonly TrainEvent[]) => ofType(events, "warning").map(({ message }) => message);

async function endedWith(outputDir: string, step: number, events: readonly TrainEvent[]): Promise<void> {
  const report = JSON.parse(await readFile(join(outputDir, "report.json"), "utf8"));
  expect(report).toMatchObject({ loadedBestStep: step, eval: { bestStep: step } });
  const bytes = (folder: string) => digestFile(join(outputDir, folder, "adapter_model.safetensors"));
  expect(await bytes("adapter")).toEqual(await bytes(`checkpoint-${step}`));
  expect(ofType(events, "done")[0]?.result.evalAfter?.evalLoss).toBe(report.eval.best);
}

// The evaluation of step 5, in which the run was stopped, is the first one of the resumed run.
test("the best of a resumed run is that of all evaluations", async () => {
  const outputDir = await stopped();
  const { events } = await trainer(outputDir, [3, 3, 2, 3, 3, 3])(true);
  expect(warningsOf(events)).toEqual([]);
  await endedWith(outputDir, 2, events);
});

test("the best whose evaluation was interrupted by the stop is gone back to as any other", async () => {
  const outputDir = await stopped();
  // Step 5, in whose evaluation the run was stopped, is the best of all.
  const { events, error } = await trainer(outputDir, [0.5, 3, 2, 3, 3, 3])(true);
  expect(error).toBeNull();
  expect(warningsOf(events)).toEqual([]);
  await endedWith(outputDir, 5, events);
});

test("a value by another metric or on another evaluation set is not compared: the search starts again, with a warning", async () => {
  const byMetric = await stopped({ metricForBestModel: "eval_mean_token_accuracy" });
  const first = await trainer(byMetric, [3, 3, 2, 3, 3, 3])(true);
  expect(warningsOf(first.events)).toEqual([
    expect.stringMatching(/metricForBestModel was eval_mean_token_accuracy and is eval_loss; the best .* again/),
  ]);
  await endedWith(byMetric, 7, first.events);
  const byRows = await stopped();
  const second = await trainer(byRows, [3, 3, 2, 3, 3, 3], { rows: 4 })(true);
  expect(warningsOf(second.events)).toEqual([expect.stringMatching(/the evaluation set is not the one .* again/)]);
  await endedWith(byRows, 7, second.events);
});

test("a best checkpoint that is gone or damaged is found before the training, and is not the result", async () => {
  const damages: [RegExp, (path: string) => Promise<void>][] = [
    [
      /the best checkpoint cannot be used: \[.*checkpoint-2\] expected a readable MANIFEST/,
      (path) => rm(path, { recursive: true }),
    ],
    [/the best checkpoint cannot be used: .*checkpoint-2\] expected SHA-256/, turnOneBit],
  ];
  for (const [message, damage] of damages) {
    const outputDir = await stopped();
    await damage(join(outputDir, "checkpoint-2"));
    const { events, error } = await trainer(outputDir, [3, 3, 2, 3, 3, 3])(true);
    expect(error).toBeNull();
    const index = events.findIndex((event) => event.type === "warning");
    expect(warningsOf(events)).toEqual([expect.stringMatching(message)]);
    expect(index).toBeLessThan(events.findIndex((event) => event.type === "step"));
    await endedWith(outputDir, 7, events);
  }
});

test("one that is damaged while the run goes on is not loaded, and a word says so", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const onEvent = async (event: TrainEvent) => {
    if (event.type === "checkpoint" && event.step === 8) await turnOneBit(join(outputDir, "checkpoint-2"));
  };
  const { events, error } = await trainer(outputDir, [5, 1, 4, 4, 4, 4, 4, 4, 4, 4.5], { onEvent })(false);
  expect(error).toBeNull();
  expect(warningsOf(events)).toEqual([
    expect.stringMatching(/the best checkpoint cannot be loaded, so .* checkpoint-2|checkpoint-2/),
  ]);
  const report = JSON.parse(await readFile(join(outputDir, "report.json"), "utf8"));
  expect(report).toMatchObject({ loadedBestStep: null, eval: { after: { evalLoss: 4.5 } } });
  const bytes = (folder: string) => digestFile(join(outputDir, folder, "adapter_model.safetensors"));
  expect(await bytes("adapter")).toEqual(await bytes("checkpoint-10"));
});

test("a damaged checkpoint of a later step pushes no good one out", async () => {
  const outputDir = await stopped({ saveTotalLimit: 1, loadBestModelAtEnd: false });
  // Older ones go once the newest has given a step.
  expect(await checkpoints(outputDir)).toEqual([2, 4, 5]);
  const names = { saveTotalLimit: 1, loadBestModelAtEnd: false };
  for (const step of [4, 5]) await turnOneBit(join(outputDir, `checkpoint-${step}`));
  const { error } = await trainer(outputDir, [4, 4, 4], { args: names, stopAt: 3 })(true);
  expect(error?.name).toBe("AbortError");
  // 4 and 5 are damaged and of steps that the run has not come to again.
  expect(await checkpoints(outputDir)).toEqual([2, 3, 4, 5]);
});

async function checkpoints(outputDir: string): Promise<number[]> {
  const steps = (await readdir(outputDir)).flatMap((name) =>
    name.startsWith("checkpoint-") ? [Number(name.slice(11))] : [],
  );
  return steps.sort((a, b) => a - b);
}

async function turnOneBit(checkpoint: string): Promise<void> {
  const path = join(checkpoint, "adapter_model.safetensors");
  const bytes = await readFile(path);
  bytes[bytes.length - 6] = (bytes.at(-6) ?? 0) ^ 1;
  await writeFile(path, bytes);
}
