import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { LrSchedulerContext } from "../index.ts";
import { ofType, record } from "../testing/record.ts";
import { trainer } from "../testing/sft-trainer.ts";

const rates = (events: Parameters<typeof ofType>[0]) =>
  (ofType(events, "step") as unknown as { learningRate: number }[]).map(({ learningRate }) => learningRate);
const watching = {
  lrSchedulerType: "reduce_lr_on_plateau",
  // Every evaluation after the first counts as none that is better.
  lrSchedulerKwargs: { factor: 0.5, patience: 0, threshold: 0.999 },
  learningRate: 1e-3,
  evalSteps: 1,
  saveSteps: 1,
};

test("a schedule that watches the evaluations goes on after a resume where it was", async () => {
  const { trainer: whole, outputDir } = await trainer(watching);
  const { events } = await record(whole.train());
  expect(rates(events)).toEqual([1e-3, 1e-3, 5e-4, 2.5e-4, 1.25e-4, 6.25e-5]);
  const { trainer: again } = await trainer({ ...watching, outputDir });
  const resumed = await record(again.train({ resumeFromCheckpoint: join(outputDir, "checkpoint-3") }));
  expect(rates(resumed.events)).toEqual(rates(events).slice(3));
  const state = JSON.parse(await readFile(join(outputDir, "checkpoint-6/trainer_state.json"), "utf8"));
  expect(state.schedule.rates[0]).toBe(3.125e-5);
});

test("the evaluation before the first step is not watched", async () => {
  const { trainer: made } = await trainer({ ...watching, evalOnStart: true, maxSteps: 2 });
  expect(rates((await record(made.train())).events)).toEqual([1e-3, 1e-3]);
});

test("a schedule that watches the evaluations is refused without any", async () => {
  const { trainer: made } = await trainer({ ...watching, evalSteps: null, evalStrategy: "no" });
  const { error } = await record(made.train());
  expect(error?.message).toMatch(
    /^\[lrSchedulerType\] expected evaluations whose metric reduce_lr_on_plateau can watch/u,
  );
});

test("a program's own schedule gives each rate, groups keep their ratio, and a resume asks it again", async () => {
  const told: [number, LrSchedulerContext][] = [];
  const lrScheduler = async (step: number, context: LrSchedulerContext) => {
    told.push([step, context]);
    return context.evaluation === null ? 1e-3 / step : 1e-4;
  };
  const args = { learningRate: 1e-2, loraplusLrRatio: 4, warmupSteps: 0.5, evalSteps: 3, saveSteps: 2 };
  const { trainer: whole, outputDir } = await trainer(args, {}, { lrScheduler });
  const { events } = await record(whole.train());
  expect(rates(events)).toEqual([1e-3, 5e-4, 1e-3 / 3, 1e-4, 1e-4, 1e-4]);
  expect(told[0]).toEqual([1, { learningRate: 1e-2, totalSteps: 6, warmupSteps: 3, epoch: 0, evaluation: null }]);
  expect(told[4]?.[1].evaluation).toMatchObject({ evalLoss: expect.any(Number) });
  const { trainer: again } = await trainer({ ...args, outputDir }, {}, { lrScheduler });
  const resumed = await record(again.train({ resumeFromCheckpoint: join(outputDir, "checkpoint-4") }));
  expect(rates(resumed.events)).toEqual([1e-4, 1e-4]);
  const { trainer: without } = await trainer({ ...args, outputDir });
  const { error } = await record(without.train({ resumeFromCheckpoint: join(outputDir, "checkpoint-4") }));
  expect(error?.message).toMatch(/fromProgram \(was \["lrScheduler"\], is null\)/u);
});

test("a schedule that a program's own takes the place of keeps no account of evaluations", async () => {
  const { trainer: made, outputDir } = await trainer({ ...watching, maxSteps: 2 }, {}, { lrScheduler: () => 1e-3 });
  expect(rates((await record(made.train())).events)).toEqual([1e-3, 1e-3]);
  const state = JSON.parse(await readFile(join(outputDir, "checkpoint-2/trainer_state.json"), "utf8"));
  expect(state.schedule).toBeNull();
});

test.each([
  [() => Number.NaN, /^\[lrScheduler\] expected a finite number of at least 0 for step 1, got NaN; fix the function/u],
  [() => -1, /got -1; fix the function/u],
  [
    () => {
      throw new Error("no table");
    },
    /^\[lrScheduler\] expected a learning rate for step 1, got: no table; fix the function/u,
  ],
])("a schedule that gives no rate ends the run by its name", async (lrScheduler, message) => {
  const { trainer: made } = await trainer({}, {}, { lrScheduler });
  const { error } = await record(made.train());
  expect(error).toMatchObject({ code: "CALLBACK_FAILED", message: expect.stringMatching(message) });
});
