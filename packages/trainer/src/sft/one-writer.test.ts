import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError, LockedError } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { SFTTrainer, type TrainEvent } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { lines } from "../testing/lines.ts";
import { record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";
import { trainer } from "../testing/sft-trainer.ts";

function make(outputDir: string, rows: unknown[] = conversations(14), onEvent: (event: TrainEvent) => void = () => {}) {
  return new SFTTrainer({
    model: fakeModel(),
    trainDataset: rows as never,
    args: { outputDir, maxLength: 512, maxSteps: 6, saveSteps: 2 },
    callbacks: [onEvent],
  });
}

test("of two trainers of one process in one folder exactly one runs, and the other is refused by its process", async () => {
  const root = await scratchFolder(onTestFinished);
  for (const [n, same] of [true, false].entries()) {
    const outputDir = join(root, String(n));
    const first = make(outputDir);
    const runs = [first.train(), (same ? first : make(outputDir)).train()];
    const results = await Promise.allSettled(runs.map((run) => Promise.resolve(run)));
    const reasons = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    expect(reasons).toEqual([expect.any(LockedError)]);
    expect(reasons[0].message).toContain(`got process ${process.pid} on `);
    expect((await lines(join(outputDir, "metrics.jsonl"))).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await readdir(outputDir)).not.toContain(".lock");
  }
});

test("a resume beside the run is refused and disturbs nothing, whether it is there already or comes by a path", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const refused: (Error | null)[] = [];
  let waiting: Promise<unknown> = Promise.resolve();
  const run = make(outputDir, conversations(14), ({ type }) => {
    if (type !== "checkpoint") return;
    const again = [true, join(outputDir, "checkpoint-2")].map(async (resumeFromCheckpoint) => {
      refused.push((await record(make(outputDir).train({ resumeFromCheckpoint }))).error);
    });
    waiting = Promise.all([waiting, ...again]);
    return waiting as Promise<void>;
  });
  expect((await run.train()).globalStep).toBe(6);
  await waiting;
  expect(refused).toHaveLength(6);
  for (const error of refused) expect(error).toBeInstanceOf(LockedError);
});

test("a run that comes to nothing takes only the folder it made, and lets the next one in", async () => {
  const root = await scratchFolder(onTestFinished);
  await expect(make(join(root, "new", "run"), []).train()).rejects.toThrow(DataError);
  expect(await readdir(join(root, "new"))).toEqual([]);
  const { trainer: there, outputDir } = await trainer({}, {}, { trainDataset: [] });
  await expect(there.train()).rejects.toThrow(DataError);
  expect((await stat(outputDir)).isDirectory()).toBe(true);
  // One fails while the other comes: neither takes the other's folder.
  for (let round = 0; round < 10; round += 1) {
    const path = join(root, `pair-${round}`);
    const [bad, good] = await Promise.all([record(make(path, []).train()), record(make(path).train())]);
    expect(bad.error).not.toBeNull();
    if (good.error === null) expect(await readdir(path)).toContain("adapter");
    else expect(good.error).toBeInstanceOf(LockedError);
  }
});
