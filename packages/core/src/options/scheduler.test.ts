import { expect, test } from "vitest";
import { parseOptions } from "./parse.ts";
import { schedulerOptions, schedulerTypes } from "./scheduler.ts";
import { sftConfigSchema } from "./sft.ts";

const scheduler = (lrSchedulerType: string, lrSchedulerKwargs: unknown = null) =>
  schedulerOptions(parseOptions(sftConfigSchema, { lrSchedulerType, lrSchedulerKwargs }));

test("there are twelve, and constants come as a text, as JSON or by name in either spelling", () => {
  expect(schedulerTypes).toHaveLength(12);
  const wanted = { type: "warmup_stable_decay", numDecaySteps: 7, decayType: "1-sqrt", minLrRatio: 0.1 };
  for (const given of [
    "num_decay_steps=7, decay_type=1-sqrt, min_lr_ratio=0.1",
    ' {"num_decay_steps": 7, "decay_type": "1-sqrt", "min_lr_ratio": 0.1}',
    { numDecaySteps: 7, decay_type: "1-sqrt", minLrRatio: 0.1 },
  ])
    expect(scheduler("warmup_stable_decay", given)).toMatchObject(wanted);
});

test("constants that a schedule does not have, or not like this, are refused", () => {
  expect(() => scheduler("linear", { numCycles: 2 })).toThrow(
    /^\[lrSchedulerKwargs\] expected nothing for linear, got "numCycles"; remove it$/u,
  );
  expect(() => scheduler("cosine", { num_cycle: 2 })).toThrow(/got "num_cycle"; did you mean "numCycles"\?$/u);
  expect(() => scheduler("warmup_stable_decay")).toThrow(
    /^\[lrSchedulerKwargs\] expected numDecaySteps for warmup_stable_decay, which has no default, got nothing; give it/u,
  );
  expect(() => scheduler("warmup_stable_decay", "num_decay_steps=2,num_decay_steps=3")).toThrow(
    /^\[lrSchedulerKwargs\] expected "num_decay_steps" once, got it twice; remove "num_decay_steps=3"$/u,
  );
  expect(() => scheduler("cosine_with_min_lr", '{"min_lr": 5, "min_lr": 0}')).toThrow(
    /^\[lrSchedulerKwargs\] expected "min_lr" once, got it twice/u,
  );
  expect(() => scheduler("greedy", { factor: 1 })).toThrow(
    /^\[lrSchedulerKwargs\.factor\] expected a number above 0 and below 1/u,
  );
  expect(() => scheduler("cosine_with_min_lr")).toThrow(
    /expected one of minLr and minLrRate .*, got neither; give one/u,
  );
  expect(() => scheduler("cosine_with_min_lr", { minLr: 1e-5, minLrRate: 0.1 })).toThrow(/got both/u);
  expect(() => scheduler("greedy", "{min_lr: 1}")).toThrow(
    /^\[lrSchedulerKwargs\] expected a JSON object or NAME=VALUE/u,
  );
});
