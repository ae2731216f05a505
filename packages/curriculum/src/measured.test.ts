import { ArgumentError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { byCompetence } from "./competence.ts";
import { customSampler } from "./custom-sampler.ts";
import { difficultyOf, type Measured, ranked } from "./measured.ts";
import { staged } from "./stages.ts";
import { contextOf } from "./testing/context.ts";

const lengths = [40, 10, 300, 20, 500, 30, 5, 900];
const scores = Float32Array.of(3, 8, 1, 2, 7, 4, 6, 5);
/** By these scores, from the easiest on. */
const easiestFirst = [2, 3, 0, 5, 7, 6, 4, 1];
const measured = (taken: readonly number[] = [], of = scores): Measured => ({
  scores: of,
  easiestFirst: Int32Array.from([...of.keys()].sort((a, b) => (of[a] ?? 0) - (of[b] ?? 0) || a - b)),
  taken: Int32Array.from(taken),
});
const context = contextOf(lengths);
const sorted = (order: Int32Array) => [...order].sort((a, b) => a - b);

test("loss is a mean, and ifd the mean of answers with their prompts over that of answers alone", async () => {
  const [whole, alone, none] = [
    { loss: 6, weight: 4 },
    { loss: 9, weight: 3 },
    { loss: 0, weight: 0 },
  ];
  expect(difficultyOf("loss", whole, none)).toBe(1.5);
  expect(difficultyOf("ifd", whole, alone)).toBe(0.5);
  expect([difficultyOf("loss", none, none), difficultyOf("ifd", whole, none)]).toEqual([Number.NaN, Number.NaN]);
  expect(difficultyOf("loss", { loss: Number.NaN, weight: 4 }, none)).toBe(Number.POSITIVE_INFINITY);
});

test("rows are ranked by any scores as a stable sort ranks them, and those without a score come first", async () => {
  expect([...(await ranked(scores))]).toEqual(easiestFirst);
  const odd = Float32Array.of(0, -1, Number.POSITIVE_INFINITY, 2, Number.NaN, -0.5, 2, Number.NEGATIVE_INFINITY, 1e-30);
  expect([...(await ranked(odd))]).toEqual([4, 7, 1, 5, 0, 8, 3, 6, 2]);
  const many = Float32Array.from({ length: 5000 }, (_, n) => Math.sin(n) * ((n % 7) - 3));
  const slow = [...many.keys()].sort((a, b) => (many[a] ?? 0) - (many[b] ?? 0) || a - b);
  expect([...(await ranked(many))]).toEqual(slow);
});

test("a stage takes its rows as they were measured, and of the hardest those that it mixes in", async () => {
  const easy = await staged(context, { stages: [{ maxLength: 40, order: "easy_first" }, {}], difficulty: "loss" });
  expect(easy.measures).toBe("loss");
  expect([...(await easy.epoch(0, measured()))]).toEqual([3, 0, 5, 6, 1]);
  const stages = [{ maxLength: 40, order: "easy_first", hardShare: 0.3 } as const, {}];
  // The hardest quarter is rows 4 and 1, of which the stage has the second itself.
  expect(sorted(await (await staged(context, { stages, difficulty: "ifd" })).epoch(0, measured()))).toEqual([
    0, 1, 3, 4, 4, 5, 6,
  ]);
  const reverse = await staged(context, { stages: [{ order: "easy_first" }], difficulty: "loss", reverse: true });
  expect([...(await reverse.epoch(4, measured()))]).toEqual(easiestFirst.toReversed());
  await expect(easy.epoch(0)).rejects.toThrow(ArgumentError);
  // What no stage needs is not measured.
  const loose = await staged(context, { stages: [{ maxLength: 40 }, {}], difficulty: "loss" });
  expect([loose.measures, loose.warnings.length]).toEqual([undefined, 1]);
});

test("a pass that has begun gives each of its rows once, whatever was measured in between", async () => {
  const stages = [{ maxLength: 40, order: "easy_first", hardShare: 0.3 } as const, {}];
  const sampler = await staged(context, { stages, difficulty: "loss" });
  const later = Float32Array.from(scores, (score) => -score);
  const first = await sampler.epoch(0, measured());
  for (let done = 0; done <= first.length; done += 1) {
    const order = await sampler.epoch(0, measured([...first.subarray(0, done)], later));
    const own = sorted(Int32Array.from([...first.subarray(0, done), ...order.subarray(done)]));
    expect(own.filter((row) => row !== 4 && row !== 2 && row !== 7)).toEqual(expect.arrayContaining([0, 1, 3, 5, 6]));
    expect(order.length).toBe(sampler.size(0));
    // What remains comes in the new order.
    const rest = [...order.subarray(done)].filter(
      (row) => (lengths[row] ?? 0) <= 40 && !first.subarray(0, done).includes(row),
    );
    expect(rest.map((row) => later[row])).toEqual(rest.map((row) => later[row] ?? 0).sort((a, b) => a - b));
  }
  // A shuffled pass stays as it is.
  const shuffled = await staged(context, { stages: [{ hardShare: 0.3 }], difficulty: "loss" });
  const begun = await shuffled.epoch(2, measured());
  expect(await shuffled.epoch(2, measured([...begun.subarray(0, 4)]))).toEqual(begun);
});

test("competence draws from what was measured to be easy, or hard where it is reversed", async () => {
  const options = { difficulty: "loss", initial: 0.25, steps: 1000 } as const;
  const first = async (reverse: boolean) => {
    const sampler = await byCompetence(context, { ...options, reverse });
    const order = await sampler.epoch(0, measured());
    return sorted(order.subarray(0, 2));
  };
  expect([(await byCompetence(context, options)).measures, await first(false), await first(true)]).toEqual([
    "loss",
    [2, 3],
    [1, 4],
  ]);
});

test("a program's sampler is given what it has measured", async () => {
  const sampler = await customSampler(
    () => ({ measures: "ifd", size: () => 2, epoch: (_, given) => given?.easiestFirst.subarray(0, 2) ?? [] }),
    context,
  );
  expect([sampler.measures, [...(await sampler.epoch(0, measured()))]]).toEqual(["ifd", [2, 3]]);
});
