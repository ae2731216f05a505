import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { SFTConfig } from "@tunesmith/core";
import { expect, onTestFinished, test, vi } from "vitest";
import { SFTTrainer, type TrainEvent } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";

// Whole runs with all their syncing; a busy disk takes its time.
vi.setConfig({ testTimeout: 60_000 });

/** Epochs of 4 steps; a rate that falls, after a warm-up. */
const args: SFTConfig = {
  maxLength: 512,
  maxSteps: 6,
  perDeviceTrainBatchSize: 2,
  gradientAccumulationSteps: 2,
  lrSchedulerType: "cosine",
  warmupSteps: 2,
  saveSteps: 4,
  loggingSteps: 2,
};

type More = SFTConfig & { evalLosses?: number[]; lrScheduler?: (step: number, context: object) => number };

async function run(
  outputDir: string,
  { evalLosses, lrScheduler, ...more }: More = {},
  onEvent: (event: TrainEvent) => void = () => {},
) {
  const trainer = new SFTTrainer({
    model: fakeModel(evalLosses === undefined ? {} : { evalLosses }),
    trainDataset: conversations(14),
    ...(evalLosses !== undefined && { evalDataset: conversations(5) }),
    ...(lrScheduler !== undefined && { lrScheduler }),
    args: { ...args, outputDir, ...more },
    callbacks: [onEvent],
  });
  return {
    first: (signal?: AbortSignal) => watched(trainer.train(signal === undefined ? {} : { signal })),
    again: (signal?: AbortSignal) =>
      watched(trainer.train({ resumeFromCheckpoint: true, ...(signal !== undefined && { signal }) })),
  };
}

async function watched(started: ReturnType<SFTTrainer["train"]>) {
  const { events, error } = await record(started);
  return { events, error, result: ofType(events, "done")[0]?.result };
}

const rates = (events: readonly TrainEvent[]) =>
  Object.fromEntries(ofType(events, "step").map(({ step, learningRate }) => [step, learningRate]));

const notes = (events: readonly TrainEvent[]) => ofType(events, "note").map(({ message }) => message);

async function files(runDir: string) {
  const read = (name: string) => readFile(join(runDir, name), "utf8");
  const { lossHash, tokens, steps } = JSON.parse(await read("report.json"));
  const adapter = await readFile(join(runDir, "adapter/adapter_model.safetensors"));
  return { lossHash, tokens, steps, adapter: adapter.toString("hex"), metrics: await read("metrics.jsonl") };
}

async function ended(more: More = {}) {
  const outputDir = await scratchFolder(onTestFinished);
  const { events, error } = await (await run(outputDir, more)).first();
  expect(error).toBeNull();
  return { outputDir, events };
}

test("a run that has ended goes on over the added steps with its schedule and warm-up afresh", async () => {
  const { outputDir, events: first } = await ended();
  const { events, error, result } = await (await run(outputDir, { maxSteps: 12 })).again();
  expect(error).toBeNull();
  const before = rates(first);
  expect(rates(events)).toEqual(Object.fromEntries([7, 8, 9, 10, 11, 12].map((step) => [step, before[step - 6]])));
  expect(notes(events)).toEqual(["phase 2 of this run: 6 steps after step 6; its schedule and warm-up begin afresh"]);
  const phase = { afterStep: 6, scheduleAfterStep: 6, totalSteps: 12, startedAt: expect.any(Number) };
  expect(result?.phases).toEqual([{ ...phase, changed: [] }]);
  expect(JSON.parse(await readFile(join(outputDir, "report.json"), "utf8")).phases).toEqual(result?.phases);
  // And once more, by epochs.
  const third = await (await run(outputDir, { maxSteps: -1, numTrainEpochs: 4 })).again();
  expect(notes(third.events)[0]).toMatch(
    /^phase 3 of this run: 4 steps after step 12; its schedule and warm-up begin/u,
  );
  expect(third.result?.phases).toHaveLength(2);
  expect(Object.keys(rates(third.events))).toEqual(["13", "14", "15", "16"]);
});

test("with schedule continue the added steps have the rates of a run that was this long from the start", async () => {
  const whole = rates((await ended({ maxSteps: 12 })).events);
  const { outputDir } = await ended();
  const { events, result } = await (await run(outputDir, { maxSteps: 12, schedule: "continue" })).again();
  expect(rates(events)).toEqual(Object.fromEntries([7, 8, 9, 10, 11, 12].map((step) => [step, whole[step]])));
  expect(notes(events)).toEqual([
    "phase 2 of this run: 6 steps after step 6; its learning rates are those of a run that was this long from the start",
  ]);
  expect(result?.phases).toMatchObject([{ afterStep: 6, scheduleAfterStep: 0 }]);
});

test("what a phase continues is the schedule of the phase before it", async () => {
  const { outputDir } = await ended();
  await (await run(outputDir, { maxSteps: 9 })).again();
  const { result, events } = await (await run(outputDir, { maxSteps: 12, schedule: "continue" })).again();
  expect(result?.phases.map(({ scheduleAfterStep }) => scheduleAfterStep)).toEqual([6, 6]);
  // As the second phase of a run whose first had 6 steps and whose second has 6.
  const before = rates((await ended()).events);
  expect(rates(events)).toEqual({ 10: before[4], 11: before[5], 12: before[6] });
});

test("a schedule that watches forgets what it has seen where it begins afresh, and only there", async () => {
  const watching: More = {
    evalLosses: [1, 2, 3, 4, 5, 6, 7, 8, 9],
    lrSchedulerType: "reduce_lr_on_plateau",
    lrSchedulerKwargs: { patience: 0, factor: 0.5 },
    warmupSteps: 0,
    evalSteps: 1,
    tokenBudget: 100_000,
  };
  const first = async (schedule: "fresh" | "continue") => {
    const { outputDir } = await ended({ ...watching, maxSteps: 3 });
    const { events, error } = await (await run(outputDir, { ...watching, maxSteps: 5, schedule })).again();
    expect(error).toBeNull();
    return rates(events)[4];
  };
  expect(await first("fresh")).toBe(2e-4);
  expect(await first("continue")).toBeLessThan(2e-4);
});

test.each(["fresh", "continue"] as const)(
  "a phase with schedule %s is resumed at every step, to the byte",
  async (schedule) => {
    const longer = { maxSteps: 11, schedule };
    const { outputDir: whole } = await ended();
    await (await run(whole, longer)).again();
    for (let stop = 7; stop < 11; stop += 1) {
      const { outputDir } = await ended();
      const controller = new AbortController();
      const stopped = await run(outputDir, longer, (event) => {
        if (event.type === "step" && event.step === stop) controller.abort();
      });
      expect((await stopped.again(controller.signal)).error?.message).toContain(`after step ${stop} of 11`);
      // How the phase began is in its checkpoint: another word for the next one changes nothing.
      const other = { ...longer, schedule: schedule === "fresh" ? ("continue" as const) : ("fresh" as const) };
      const { error, events } = await (await run(outputDir, other)).again();
      expect([error, notes(events)]).toEqual([null, []]);
      expect(await files(outputDir)).toEqual(await files(whole));
    }
  },
);

test("a phase has its own length and schedule; what else decides the numbers is refused by name", async () => {
  const { outputDir } = await ended();
  const error = async (more: More) => (await (await run(outputDir, more)).again()).error?.message;
  expect(await error({ maxSteps: 12, perDeviceTrainBatchSize: 1, learningRate: 1e-3 })).toMatch(
    /these differ: perDeviceTrainBatchSize \(was 2, is 1\); set them back/u,
  );
  expect(await error({ maxSteps: 12, schedule: "continue", learningRate: 1e-3 })).toMatch(
    /these differ: learningRate \(was 0\.0002, is 0\.001\)/u,
  );
  // Neither longer nor in a new phase.
  expect(await error({ learningRate: 1e-3 })).toMatch(/these differ: learningRate/u);
  expect(await error({ maxSteps: 5 })).toMatch(/these differ: maxSteps \(was 6, is 5\)/u);
  const { result, events } = await (
    await run(outputDir, {
      maxSteps: 8,
      learningRate: 1e-3,
      lrSchedulerType: "constant",
      warmupSteps: 0,
      loggingSteps: 1,
    })
  ).again();
  expect(rates(events)).toEqual({ 7: 1e-3, 8: 1e-3 });
  expect(result?.phases[0]?.changed.map(({ option }) => option)).toEqual([
    "learningRate",
    "lrSchedulerType",
    "warmupSteps",
  ]);
});

test("a run that is not at its end is not made longer", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const controller = new AbortController();
  const stopped = await run(outputDir, {}, (event) => {
    if (event.type === "step" && event.step === 3) controller.abort();
  });
  await stopped.first(controller.signal);
  const { error } = await (await run(outputDir, { maxSteps: 12 })).again();
  expect(error?.message).toMatch(/these differ: maxSteps \(was 6, is 12\); set them back/u);
});

test("a run that stopped early goes on, and its patience counts from none", async () => {
  const early = {
    evalLosses: [5, 6, 7, 4, 3, 2, 1, 1, 1],
    evalSteps: 1,
    earlyStoppingPatience: 2,
    tokenBudget: 100_000,
  };
  const { outputDir, events } = await ended(early);
  expect(ofType(events, "step")).toHaveLength(3);
  const { result, error } = await (
    await run(outputDir, { ...early, evalLosses: [4, 3, 2, 1, 0.5], maxSteps: 8 })
  ).again();
  expect([error, result?.globalStep, result?.stoppedBy]).toEqual([null, 8, "max_steps"]);
  expect(result?.phases).toMatchObject([{ afterStep: 3, totalSteps: 8 }]);
});

test("a program's own schedule counts the steps of the phase", async () => {
  const seen: [number, unknown][] = [];
  const lrScheduler = (step: number, context: object) => {
    seen.push([step, (context as { totalSteps: number }).totalSteps]);
    return 1e-4 / step;
  };
  const { outputDir } = await ended({ maxSteps: 3, lrScheduler });
  await (await run(outputDir, { maxSteps: 5, lrScheduler })).again();
  expect(seen).toEqual([
    [1, 3],
    [2, 3],
    [3, 3],
    [1, 2],
    [2, 2],
  ]);
});
