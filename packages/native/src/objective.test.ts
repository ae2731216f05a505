import type { Batch, Coefficients, Objective, TokenValues, TrainSession } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { batchOf, firstStep, loraSession, tinyModel } from "../test/fixture.ts";
import { loadModel } from "./index.ts";

const model = await loadModel(tinyModel, { device: "cpu", threads: 1 });
const batch: Batch = batchOf([5, 9, 40, 7, 7, 100, 3], [17, 4, 260]);
batch.labels[2] = -100;
const supervised = [1, 3, 4, 5, 6, 8, 9];
const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);

async function open(): Promise<TrainSession> {
  // First values that give every tensor a gradient.
  const adapter = { type: "lora", r: 4, initLoraWeights: false } as const;
  const session = await model.createSession({ ...loraSession, adapter });
  onTestFinished(() => session.dispose());
  return session;
}

/** Norm of the gradient that is there; takes a step of rate 0. */
async function gradNorm(session: TrainSession): Promise<number> {
  const learningRates = new Float64Array(session.info.parameterGroups.length);
  return (await session.update({ learningRates, maxGradNorm: null, denominator: 1 })).gradNorm;
}

async function normOf(session: TrainSession, coefficients: (values: TokenValues) => Coefficients): Promise<number> {
  await session.backward(coefficients(await session.forward(batch, firstStep)));
  return gradNorm(session);
}

test("values stand at the labels, and their sums are those of evaluate", async () => {
  const session = await open();
  const values = await session.logProbs(batch, { values: ["logSumSquares", "meanLogit"] });
  for (const [name, column] of Object.entries(values)) expect(column, name).toHaveLength(batch.labels.length);
  expect([...values.logProb.keys()].filter((t) => values.logProb[t] !== 0)).toEqual(supervised);
  const sums = await session.evaluate(batch);
  expect(-sum(values.logProb)).toBeCloseTo(sum(sums.lossSum), 4);
  expect(sum(values.entropy)).toBeCloseTo(sum(sums.entropySum), 4);
  expect(sum(values.hit)).toBe(sum(sums.correct));
  const [t] = supervised as [number];
  expect(values.meanLogit?.[t]).toBeCloseTo((values.meanLogProb[t] as number) + (values.logSumExp[t] as number), 4);
  expect(values.logSumSquares?.[t]).toBeLessThan(0);
  expect(await session.logProbs(batch)).not.toHaveProperty("meanLogit");
});

test("a temperature divides the logits, in both phases", async () => {
  const session = await open();
  const plain = await session.logProbs(batch, { values: ["meanLogit"] });
  const asked = (temperature: number) => ({ values: ["meanLogit"], temperature }) as const;
  expect(await session.logProbs(batch, asked(1))).toEqual(plain);
  const hot = await session.logProbs(batch, asked(2));
  for (const t of supervised) {
    expect(hot.meanLogit?.[t]).toBeCloseTo((plain.meanLogit?.[t] as number) / 2, 6);
    const logit = (values: TokenValues) => (values.logProb[t] as number) + (values.logSumExp[t] as number);
    expect(logit(hot)).toBeCloseTo(logit(plain) / 2, 5);
    expect(hot.entropy[t]).toBeGreaterThan(plain.entropy[t] as number);
  }
  expect(await session.forward(batch, { ...firstStep, ...asked(2) })).toEqual(hot);
  for (const temperature of [0, -1, Number.NaN, "1" as unknown as number])
    await expect(session.logProbs(batch, { temperature })).rejects.toThrow(/\[logProbs.temperature\]/u);
});

test("two phases with the derivative of nll give the gradient of accumulate", async () => {
  const session = await open();
  await session.accumulate(batch, firstStep);
  const expected = await gradNorm(session);
  expect(expected).toBeGreaterThan(0.1);
  const minusOne = () => ({ logProb: new Float32Array(batch.labels.length).fill(-1) });
  expect((await normOf(session, minusOne)) / expected).toBeCloseTo(1, 5);
  const none = await normOf(session, () => ({}));
  expect(none).toBe(0);
});

test.each<[string, Objective, (values: TokenValues) => Coefficients]>([
  ["dft", { type: "dft" }, ({ logProb }) => ({ logProb: logProb.map((value) => -Math.exp(value)) })],
  [
    "smoothing",
    { type: "nll", labelSmoothing: 0.25 },
    ({ logProb }) => ({ logProb: logProb.map(() => -0.75), meanLogProb: logProb.map(() => -0.25) }),
  ],
  [
    "z-loss",
    { type: "nll", zLoss: 0.5 },
    ({ logProb, logSumExp }) => ({ logProb: logProb.map(() => -1), logSumExp: logSumExp.slice() }),
  ],
])("a named objective and its function have one gradient: %s", async (_, objective, coefficients) => {
  const session = await open();
  await session.accumulate(batch, { ...firstStep, objective });
  const named = await gradNorm(session);
  expect((await normOf(session, coefficients)) / named).toBeCloseTo(1, 5);
  await session.accumulate(batch, firstStep);
  expect(await gradNorm(session)).not.toBeCloseTo(named, 3);
  const { lossSum } = await session.evaluate(batch, objective);
  expect(lossSum).not.toEqual((await session.evaluate(batch)).lossSum);
});

test("an objective that the engine does not know is refused by the engine", async () => {
  const session = await open();
  for (const objective of [
    { type: "hinge" },
    { type: "nll", labelSmoothing: 2 },
    { type: "nll", zLoss: Number.NaN },
    { type: "dft", beta: 1 },
    {},
  ]) {
    const given = objective as Objective;
    const refused = { name: "ArgumentError", message: expect.stringMatching(/^\[(accumulate.|evaluate.)?objective/u) };
    await expect(session.accumulate(batch, { ...firstStep, objective: given })).rejects.toMatchObject(refused);
    await expect(session.evaluate(batch, given)).rejects.toMatchObject(refused);
  }
  expect(await gradNorm(session)).toBe(0);
});

test("a backward needs a forward just before it, and as many coefficients as tokens", async () => {
  const session = await open();
  const refused = { name: "ArgumentError", code: "ARGUMENT_INVALID" };
  const logProb = new Float32Array(batch.labels.length).fill(1);
  await expect(session.backward({ logProb })).rejects.toMatchObject(refused);
  await session.forward(batch, firstStep);
  await expect(session.backward({ logProb: logProb.subarray(1) })).rejects.toMatchObject(refused);
  await session.forward(batch, firstStep);
  await session.evaluate(batch);
  await expect(session.backward({ logProb })).rejects.toMatchObject(refused);
  expect(await gradNorm(session)).toBe(0);
});
