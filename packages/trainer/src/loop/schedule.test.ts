import { OptionError, parseOptions, schedulerOptions, schedulerTypes, trainingArgumentsSchema } from "@tunesmith/core";
import { expect, test } from "vitest";
import { countWarmupSteps, dependsOnLength, learningRateAt, type Schedule, scheduleOf } from "./schedule.ts";

const optionsOf = (lrSchedulerType: string, lrSchedulerKwargs: unknown = null) =>
  schedulerOptions(parseOptions(trainingArgumentsSchema, { lrSchedulerType, lrSchedulerKwargs }));
const rates = (schedule: Omit<Schedule, "learningRate" | "warmsUpItself" | "afterStep">, peak = 1) =>
  Array.from({ length: schedule.totalSteps }, (_, index) =>
    learningRateAt(index + 1, { ...schedule, learningRate: 1, warmsUpItself: false, afterStep: 0 }, peak),
  );

test("linear rises over the warm-up from 0 and falls to one step above 0", () => {
  expect(rates({ options: optionsOf("linear"), warmupSteps: 2, totalSteps: 6 })).toEqual([0, 0.5, 1, 0.75, 0.5, 0.25]);
});

test("cosine falls by half a wave", () => {
  const values = rates({ options: optionsOf("cosine"), warmupSteps: 0, totalSteps: 4 });
  const expected = [1, (2 + Math.SQRT2) / 4, 0.5, (2 - Math.SQRT2) / 4];
  for (const [n, value] of values.entries()) expect(value).toBeCloseTo(expected[n] as number, 12);
});

test("constant ignores the warm-up, constant_with_warmup does not", () => {
  expect(rates({ options: optionsOf("constant"), warmupSteps: 2, totalSteps: 4 })).toEqual([1, 1, 1, 1]);
  expect(rates({ options: optionsOf("constant_with_warmup"), warmupSteps: 2, totalSteps: 4 })).toEqual([0, 0.5, 1, 1]);
});

test("schedules that watch a metric stay at the peak until they are told one, whatever the warm-up", () => {
  for (const type of ["reduce_lr_on_plateau", "greedy"])
    expect(rates({ options: optionsOf(type), warmupSteps: 2, totalSteps: 4 })).toEqual([1, 1, 1, 1]);
});

test("every shape has the values of transformers 5.24.0 at its corners", () => {
  const shapes: Record<string, [kwargs: unknown, values: number[]]> = {
    cosine_with_restarts: ["num_cycles=2", [0, 0.666666666667, 1, 0.049515566049, 0.188255099071, 0]],
    polynomial: ['{"lr_end": 0.1, "power": 2}', [0, 0.666666666667, 1, 0.39387755102, 0.118367346939, 0.1]],
    inverse_sqrt: [null, [0, 0.666666666667, 1, Math.SQRT1_2, 0.57735026919, 0.522232967867]],
    cosine_with_min_lr: [{ minLr: 0.25 }, [0, 0.666666666667, 1, 0.708445350234, 0.287136674537, 0.287136674537]],
    cosine_warmup_with_min_lr: [
      { minLrRate: 0.25, warmupLrRate: 0.2 },
      [0.2, 1, 0.962863325463, 0.541554649766, 0.25, 0.391191324303],
    ],
    warmup_stable_decay: [
      { numDecaySteps: 4, warmupType: "cosine", decayType: "1-sqrt", minLrRatio: 0.1 },
      [0.1, 0.775, 1, 1, 0.220577136594, 0.1],
    ],
  };
  for (const [type, [kwargs, values]] of Object.entries(shapes)) {
    const schedule = {
      options: optionsOf(type, kwargs),
      learningRate: 1,
      warmupSteps: 3,
      totalSteps: 10,
      warmsUpItself: false,
      afterStep: 0,
    };
    for (const [place, step] of [0, 2, 3, 6, 9, 11].entries())
      expect(learningRateAt(step + 1, schedule), `${type}, step ${step}`).toBeCloseTo(values[place] as number, 11);
  }
});

test("a group with another peak has the same shape, its lowest rate too", () => {
  const options = optionsOf("cosine_with_min_lr", { minLr: 0.5 });
  const own = rates({ options, warmupSteps: 1, totalSteps: 8 });
  expect(rates({ options, warmupSteps: 1, totalSteps: 8 }, 16)).toEqual(own.map((rate) => 16 * rate));
});

test("a lowest rate is one of the run's, not a share of its peak", () => {
  for (const type of ["cosine_with_min_lr", "cosine_warmup_with_min_lr"]) {
    const [asRate, asShare] = [{ minLr: 1 }, { minLrRate: 0.25 }].map((kwargs) =>
      [3, 5, 9].map((step) => {
        const schedule = { options: optionsOf(type, kwargs), learningRate: 4, warmupSteps: 2, totalSteps: 8 };
        return learningRateAt(step, { ...schedule, warmsUpItself: false, afterStep: 0 });
      }),
    );
    expect(asRate).toEqual(asShare);
  }
});

test("a warm-up below 1 is a share of all steps, rounded up", () => {
  expect(countWarmupSteps(0.1, 25)).toBe(3);
  expect(countWarmupSteps(0, 25)).toBe(0);
  expect(countWarmupSteps(7, 25)).toBe(7);
  expect(() => countWarmupSteps(1.5, 25)).toThrow(OptionError);
});

test("the length of a run matters exactly where another length gives other rates", () => {
  const needed: Record<string, object> = {
    cosine_with_min_lr: { minLr: 0.1 },
    cosine_warmup_with_min_lr: { minLr: 0.1 },
    warmup_stable_decay: { numDecaySteps: 4 },
  };
  const settings = [
    ...schedulerTypes.map((type) => ({ lrSchedulerType: type, lrSchedulerKwargs: needed[type] ?? null })),
    { lrSchedulerType: "warmup_stable_decay", lrSchedulerKwargs: { numDecaySteps: 4, numStableSteps: 4 } },
  ];
  for (const setting of settings) {
    const args = parseOptions(trainingArgumentsSchema, { ...setting, warmupSteps: 2 });
    const options = schedulerOptions(args);
    const [short, long] = [10, 20].map((totalSteps) => rates({ options, warmupSteps: 2, totalSteps }).slice(0, 10));
    const matters = JSON.stringify(short) !== JSON.stringify(long);
    expect([setting, dependsOnLength(args)]).toEqual([setting, matters]);
    const warmed =
      rates({ options, warmupSteps: 2, totalSteps: 10 })[0] !== rates({ options, warmupSteps: 0, totalSteps: 10 })[0];
    expect([setting, dependsOnLength({ ...args, warmupSteps: 0.5 })]).toEqual([setting, matters || warmed]);
  }
});

test("the length of a run matters for the warm-up that an optimizer has itself", () => {
  const given = { lrSchedulerType: "constant", optim: "schedule_free_adamw" };
  const args = (warmupSteps: number) => parseOptions(trainingArgumentsSchema, { ...given, warmupSteps });
  expect([0, 0.5, 2].map((warmupSteps) => dependsOnLength(args(warmupSteps)))).toEqual([false, true, false]);
});

test("a schedule-free optimizer warms up by itself, from the first step on", () => {
  const schedule = { options: optionsOf("constant"), learningRate: 6, warmupSteps: 3, totalSteps: 5 };
  const rate = (step: number) => learningRateAt(step, { ...schedule, warmsUpItself: true, afterStep: 0 });
  expect([1, 2, 3, 4].map(rate)).toEqual([2, 4, 6, 6]);
});

test("a polynomial must fall", () => {
  const args = parseOptions(trainingArgumentsSchema, { lrSchedulerType: "polynomial" });
  const settled = { ...args, outputDir: "", maxGradNorm: 1, evalStrategy: "no" as const, evalSteps: 1 };
  for (const learningRate of [1e-8, 1e-7])
    expect(() => scheduleOf({ ...settled, learningRate }, 5)).toThrow(
      `[lrSchedulerKwargs.lrEnd] expected a rate below learningRate ${learningRate}, got 1e-7; lower it`,
    );
  expect(scheduleOf({ ...settled, learningRate: 2e-7 }, 5)).toMatchObject({ totalSteps: 5 });
});
