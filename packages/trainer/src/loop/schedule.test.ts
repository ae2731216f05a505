import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { OptionError } from "@tunesmith/core";
import { describe, expect, test } from "vitest";
import { countWarmupSteps, dependsOnLength, learningRateAt, type Schedule } from "./schedule.ts";

const rates = (schedule: Omit<Schedule, "learningRate">) =>
  Array.from({ length: schedule.totalSteps }, (_, index) =>
    learningRateAt(index + 1, { ...schedule, learningRate: 1 }),
  );

test("linear rises over the warm-up from 0 and falls to one step above 0", () => {
  expect(rates({ type: "linear", warmupSteps: 2, totalSteps: 6 })).toEqual([0, 0.5, 1, 0.75, 0.5, 0.25]);
});

test("cosine falls by half a wave", () => {
  const values = rates({ type: "cosine", warmupSteps: 0, totalSteps: 4 });
  const expected = [1, (2 + Math.SQRT2) / 4, 0.5, (2 - Math.SQRT2) / 4];
  for (const [n, value] of values.entries()) expect(value).toBeCloseTo(expected[n] as number, 12);
});

test("constant ignores the warm-up, constant_with_warmup does not", () => {
  expect(rates({ type: "constant", warmupSteps: 2, totalSteps: 4 })).toEqual([1, 1, 1, 1]);
  expect(rates({ type: "constant_with_warmup", warmupSteps: 2, totalSteps: 4 })).toEqual([0, 0.5, 1, 1]);
});

test("a warm-up below 1 is a share of all steps, rounded up", () => {
  expect(countWarmupSteps(0.1, 25)).toBe(3);
  expect(countWarmupSteps(0, 25)).toBe(0);
  expect(countWarmupSteps(7, 25)).toBe(7);
  expect(() => countWarmupSteps(1.5, 25)).toThrow(OptionError);
});

test("the length of a run matters exactly where another length gives other rates", () => {
  const types: Record<Schedule["type"], null> = {
    linear: null,
    cosine: null,
    constant: null,
    constant_with_warmup: null,
  };
  for (const type of Object.keys(types) as Schedule["type"][]) {
    const [short, long] = [10, 20].map((totalSteps) => rates({ type, warmupSteps: 2, totalSteps }).slice(0, 10));
    expect([type, dependsOnLength(type, 2)]).toEqual([type, JSON.stringify(short) !== JSON.stringify(long)]);
    expect(dependsOnLength(type, 0.5)).toBe(true);
  }
});

interface Case {
  lr_scheduler_type: string;
  kwargs: object;
  learning_rate: number;
  warmup_steps: number;
  total_steps: number;
  lrs: number[];
}

const root = process.env.TUNESMITH_FIXTURES ?? "";
const path = join(root, "misc/schedules.json");
const cases: Case[] = root !== "" && existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : [];
const types: readonly string[] = ["linear", "cosine", "constant", "constant_with_warmup"] satisfies Schedule["type"][];

describe.skipIf(cases.length === 0)("the learning rates of transformers (TUNESMITH_FIXTURES)", () => {
  for (const {
    lr_scheduler_type: type,
    kwargs,
    learning_rate: learningRate,
    warmup_steps: warmupSteps,
    total_steps: totalSteps,
    lrs,
  } of cases) {
    const supported = types.includes(type) && Object.keys(kwargs).length === 0;
    test.skipIf(!supported)(`${type} ${JSON.stringify(kwargs)}, warm-up ${warmupSteps} of ${totalSteps}`, () => {
      for (const [index, expected] of lrs.entries()) {
        const rate = learningRateAt(index + 1, {
          type: type as Schedule["type"],
          learningRate,
          warmupSteps,
          totalSteps,
        });
        expect(Math.abs(rate - expected)).toBeLessThanOrEqual(1e-9 * expected);
      }
    });
  }
});
