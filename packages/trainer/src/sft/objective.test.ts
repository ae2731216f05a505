import { expect, test } from "vitest";
import { ofType, record } from "../testing/record.ts";
import { trainer } from "../testing/sft-trainer.ts";
import { evalObjectiveOf, objectiveOf } from "./objective.ts";

/** The loss of the first step, and that of the evaluation before it, under some options. */
async function firstLosses(args: object) {
  const { trainer: sft } = await trainer({ maxSteps: 1, evalOnStart: true, ...args });
  const { events, error } = await record(sft.train());
  expect(error).toBeNull();
  const [[step], [evaluation]] = [ofType(events, "step"), ofType(events, "eval")];
  const warnings = ofType(events, "warning").map(({ message }) => message);
  return { loss: step?.loss ?? Number.NaN, evalLoss: evaluation?.evalLoss ?? Number.NaN, warnings };
}

test("dft and smoothing decide the loss of steps and of evaluations, as in TRL; z-loss that of steps alone", async () => {
  const plain = await firstLosses({});
  // The fake model is nearly uniform before its first step: −log p is log V, and p is 1 / V.
  const vocab = Math.exp(plain.loss);
  const dft = await firstLosses({ lossType: "dft" });
  for (const [name, value] of Object.entries({ loss: dft.loss, evalLoss: dft.evalLoss }))
    expect(value * vocab, name).toBeCloseTo(plain.loss, 1);
  const smoothed = await firstLosses({ labelSmoothingFactor: 0.5 });
  expect(smoothed.loss).not.toBe(plain.loss);
  expect(smoothed.evalLoss).not.toBe(plain.evalLoss);
  expect(smoothed.loss).toBeCloseTo(plain.loss, 1);
  const zLoss = await firstLosses({ zLossMultiplier: 0.1 });
  expect(zLoss.loss).toBeCloseTo(plain.loss + 0.1 * plain.loss ** 2, 1);
  expect(zLoss.evalLoss).toBe(plain.evalLoss);
});

test("what dft leaves without effect is said, and so is a name that another one stands for", async () => {
  const { loss } = await firstLosses({ lossType: "dft" });
  const dft = await firstLosses({ lossType: "dft", labelSmoothingFactor: 0.1, zLossMultiplier: 1e-4 });
  expect(dft.loss).toBe(loss);
  expect(dft.warnings).toEqual([
    "labelSmoothingFactor 0.1 has no effect: lossType is dft",
    "zLossMultiplier 0.0001 has no effect: lossType is dft",
  ]);
  const chunked = await firstLosses({ lossType: "chunked_nll" });
  expect(chunked.loss).toBe((await firstLosses({})).loss);
  expect(chunked.warnings).toEqual(["lossType chunked_nll is nll here: logits exist in chunks in any case"]);
});

test("options become what the engine minimises", () => {
  const options = { lossType: "nll", labelSmoothingFactor: 0.1, zLossMultiplier: 1e-4 } as const;
  expect(objectiveOf(options)).toEqual({ type: "nll", labelSmoothing: 0.1, zLoss: 1e-4 });
  expect(evalObjectiveOf(options)).toEqual({ type: "nll", labelSmoothing: 0.1, zLoss: 0 });
  expect(objectiveOf({ ...options, lossType: "dft" })).toEqual({ type: "dft" });
});
