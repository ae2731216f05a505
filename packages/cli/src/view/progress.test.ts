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
  }) as const;

test("shows smoothed loss, speed and remaining time of wall-clock steps", () => {
  const progress = new Progress();
  progress.add(step(1, 4), 0);
  expect(stripVTControlCharacters(progress.line(step(1, 4)))).toBe(
    "step 1/100  epoch 0.02  loss 4  lr 9.00e-4  grad 1.25  444 tok/s  ETA 1:29",
  );
  progress.add(step(2, 2), 2000);
  // (0.1 · 0.9 · 4 + 0.1 · 2) / (0.1 · 0.9 + 0.1) and 400 tokens in 2 s.
  expect(stripVTControlCharacters(progress.line(step(2, 2)))).toBe(
    "step 2/100  epoch 0.04  loss 2.947  lr 9.00e-4  grad 1.25  200 tok/s  ETA 3:16",
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
  const line = (width: number) => stripVTControlCharacters(progress.line(step(1, 4), width));
  expect(line(79)).toBe("step 1/100  epoch 0.02  loss 4  lr 9.00e-4  grad 1.25  444 tok/s  ETA 1:29");
  expect(line(70)).toBe("step 1/100  loss 4  lr 9.00e-4  grad 1.25  444 tok/s  ETA 1:29");
  expect(line(55)).toBe("step 1/100  loss 4  lr 9.00e-4  444 tok/s  ETA 1:29");
  expect(line(30)).toBe("step 1/100  loss 4  ETA 1:29");
  expect(line(1)).toBe("step 1/100  ETA 1:29");
});
