import type { StepKey } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { batchOf, firstStep, loraSession, tinyModel } from "../test/fixture.ts";
import { loadModel } from "./index.ts";

const model = await loadModel(tinyModel, { device: "cpu", threads: 1 });
const batch = batchOf([5, 9, 40, 7, 7, 100, 3], [17, 4, 260]);
const plain = { ...firstStep, objective: { type: "nll" } } as const;

/** Losses of the rows of a training pass under some noise. */
async function losses(
  neftuneNoiseAlpha: number | undefined,
  given = batch,
  key: StepKey & { objective: { type: "nll" } } = plain,
): Promise<number[]> {
  const session = await model.createSession({
    ...loraSession,
    ...(neftuneNoiseAlpha === undefined ? {} : { neftuneNoiseAlpha }),
  });
  onTestFinished(() => session.dispose());
  return [...(await session.accumulate(given, key)).lossSum];
}

test("neftuneNoiseAlpha crosses to the engine: noise of training passes that belongs to the row, and none in evaluation", async () => {
  const without = await losses(undefined);
  const noisy = await losses(5);
  expect(await losses(0)).toEqual(without);
  for (const [row, loss] of noisy.entries()) expect(loss).not.toBe(without[row]);
  expect(await losses(5, batchOf([5, 9, 40, 7, 7, 100, 3]))).toEqual(noisy.slice(0, 1));
  expect(await losses(5, batch, { ...plain, step: 2 })).not.toEqual(noisy);
  const session = await model.createSession({ ...loraSession, neftuneNoiseAlpha: 5 });
  onTestFinished(() => session.dispose());
  expect([...(await session.evaluate(batch)).lossSum]).toEqual(without);
});
