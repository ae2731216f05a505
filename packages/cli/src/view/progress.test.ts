import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { Progress } from "./progress.ts";

const step = (n: number, loss: number) =>
  ({
    type: "step",
    step: n,
    totalSteps: 100,
    epoch: n / 50,
    loss,
    learningRate: 9e-4,
    gradNorm: 1.25,
    tokens: 400,
    seconds: 0.9,
    memory: { inUse: 3 * 2 ** 30, peak: 5 * 2 ** 30 },
  }) as const;

const clock = new Date(2026, 0, 5, 23, 57, 30);
const wide = Number.POSITIVE_INFINITY;

test("shows smoothed loss, speed and remaining time of wall-clock steps", () => {
  const progress = new Progress();
  progress.add(step(1, 4), 0);
  expect(stripVTControlCharacters(progress.line(step(1, 4), wide, { clock }))).toBe(
    "step 1/100  epoch 0.02  loss 4  lr 9.00e-4  grad 1.25  444 tok/s  ETA 1:29 (23:58)",
  );
  progress.add(step(2, 2), 2000);
  // (0.1 · 0.9 · 4 + 0.1 · 2) / (0.1 · 0.9 + 0.1) and 400 tokens in 2 s.
  expect(stripVTControlCharacters(progress.line(step(2, 2), wide, { clock }))).toBe(
    "step 2/100  epoch 0.04  loss 2.947  lr 9.00e-4  grad 1.25  200 tok/s  ETA 3:16 (01-06 00:00)",
  );
});

test("leaves losses that are not finite out of the mean", () => {
  const progress = new Progress();
  progress.add(step(1, Number.NaN), 0);
  expect(progress.line(step(1, Number.NaN))).toContain("NaN");
  progress.add(step(2, 3), 1000);
  expect(stripVTControlCharacters(progress.line(step(2, 3)))).toContain("loss 3 ");
});

test("a narrow line keeps the step and the time left, and goes without what is needed least", () => {
  const progress = new Progress();
  progress.add(step(1, 4), 0);
  const line = (width: number) => stripVTControlCharacters(progress.line(step(1, 4), width, { clock }));
  expect(line(82)).toBe("step 1/100  epoch 0.02  loss 4  lr 9.00e-4  grad 1.25  444 tok/s  ETA 1:29 (23:58)");
  expect(line(72)).toBe("step 1/100  loss 4  lr 9.00e-4  grad 1.25  444 tok/s  ETA 1:29 (23:58)");
  expect(line(60)).toBe("step 1/100  loss 4  lr 9.00e-4  444 tok/s  ETA 1:29 (23:58)");
  expect(line(40)).toBe("step 1/100  loss 4  ETA 1:29 (23:58)");
  expect(line(1)).toBe("step 1/100  ETA 1:29 (23:58)");
});

test("on a GPU the line has its memory, now and at the peak", () => {
  const progress = new Progress();
  progress.add(step(1, 4), 0);
  expect(progress.line(step(1, 4), wide, { onGpu: true })).toContain("444 tok/s  mem 3.0 GiB, peak 5.0 GiB  ETA 1:29");
});

test("the time left counts evaluations and checkpoints by their share so far, and not the first step", () => {
  const progress = new Progress();
  progress.add({ ...step(1, 4), seconds: 60 }, 60_000);
  // Thirty steps of 0.9 s; one evaluation of 30 s lies further back than the last twenty.
  for (let n = 2; n <= 31; n += 1) progress.add(step(n, 4), 60_000 + 900 * (n - 1) + (n > 3 ? 30_000 : 0));
  // 69 steps of 0.9 + 30 / 30 seconds.
  expect(progress.line(step(31, 4), wide, { clock })).toContain("ETA 2:11 (23:59)");
});
