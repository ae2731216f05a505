import { readdir } from "node:fs/promises";
import { CallbackError, CheckpointError, OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import type { ComputeLossFunc, LossBatch, LossFunction, LossResult, ReferenceLoss } from "../index.ts";
import { SFTTrainer } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations } from "../testing/scratch.ts";
import { trainer } from "../testing/sft-trainer.ts";

/** The negative log-likelihood as a program writes it. */
const nll = ({ rows }: LossBatch): LossResult => ({
  loss: rows.flatMap(({ logProbs }) => [...logProbs]).reduce((sum, value) => sum - value, 0),
  denominator: rows.reduce((sum, { logProbs }) => sum + logProbs.length, 0),
  logProbGradients: rows.map(({ logProbs }) => logProbs.map(() => -1)),
});

async function numbers(args: object, computeLossFunc?: ComputeLossFunc) {
  const { trainer: made } = await trainer(args, {}, computeLossFunc === undefined ? {} : { computeLossFunc });
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  const steps = ofType(events, "step").flatMap(({ loss, gradNorm, tokens }) => [loss, gradNorm, tokens]);
  const evals = ofType(events, "eval").flatMap((event) => [
    event.evalLoss,
    event.evalEntropy,
    event.evalMeanTokenAccuracy,
  ]);
  const logs = ofType(events, "log").flatMap(({ meanTokenAccuracy, entropy }) => [meanTokenAccuracy, entropy]);
  return [...steps, ...evals, ...logs];
}

function expectClose(got: readonly number[], expected: readonly number[]) {
  expect(got).toHaveLength(expected.length);
  for (const [n, value] of expected.entries()) expect(got[n], `${n}`).toBeCloseTo(value, 5);
}

test.each<[string, object]>([
  ["several micro-batches in a pass", { tokenBudget: 4096 }],
  ["a micro-batch in several passes", { tokenBudget: 40 }],
  ["a row in each pass", { tokenBudget: 1 }],
  ["packed rows", { packing: true, maxLength: 64, perDeviceTrainBatchSize: 2 }],
  ["another accumulation", { perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 8 }],
])("a function that is nll trains what nll does: %s", async (_, args) => {
  const asked = { ...args, maxSteps: 4, loggingSteps: 1, evalSteps: 2, learningRate: 1e-3 };
  expectClose(await numbers(asked, nll), await numbers(asked));
});

test("it is asked once per micro-batch, with all its rows, however passes are cut", async () => {
  for (const tokenBudget of [1, 40, 4096]) {
    const seen: LossBatch[] = [];
    const computeLossFunc: LossFunction = (batch) => {
      if (batch.step !== null) seen.push(batch);
      return nll(batch);
    };
    await numbers(
      { maxSteps: 2, evalStrategy: "no", tokenBudget, trainSamplingStrategy: "sequential" },
      computeLossFunc,
    );
    expect(seen.map(({ step, microBatch, rows }) => [step, microBatch, rows.map(({ rowId }) => rowId)])).toEqual([
      [1, 0, [0, 1, 2, 3]],
      [1, 1, [4, 5, 6, 7]],
      [2, 0, [8, 9, 10, 11]],
      [2, 1, [12, 13, 14, 15]],
    ]);
    for (const { positions, logProbs, ids } of seen.flatMap(({ rows }) => rows)) {
      expect(positions).toHaveLength(logProbs.length);
      expect(Math.max(...positions)).toBeLessThan(ids.length);
    }
    expect(seen[0]?.rows[1]?.place).toMatch(/2$/u);
  }
});

test("the denominators are summed over the step, so that loss and gradient are means over all of it", async () => {
  const means = (batch: LossBatch): LossResult => {
    const { loss, denominator, logProbGradients } = nll(batch);
    return {
      loss: loss / denominator,
      denominator: 1,
      logProbGradients: logProbGradients.map((list) => Array.from(list, (value) => value / denominator)),
    };
  };
  const args = { maxSteps: 1, evalStrategy: "no", trainSamplingStrategy: "sequential" };
  const each: number[] = [];
  const [loss] = await numbers(args, (batch) => {
    const result = means(batch);
    each.push(result.loss);
    return result;
  });
  expect(loss).toBeCloseTo(((each[0] ?? 0) + (each[1] ?? 0)) / 2, 10);
});

test("the reference is the model with its adapter switched off", async () => {
  const gaps: number[][] = [];
  const compute: ReferenceLoss["compute"] = ({ rows, ...rest }) => {
    gaps.push(
      rows.map((row) =>
        row.logProbs.reduce((sum, value, n) => sum + Math.abs(value - (row.referenceLogProbs[n] ?? 0)), 0),
      ),
    );
    return nll({ rows, ...rest });
  };
  const args = { maxSteps: 3, evalSteps: 3, learningRate: 1e-3 };
  const got = await numbers(args, { referenceLogProbs: true, compute });
  expectClose(got, await numbers(args));
  // Before the first update both are the same, to the bit.
  expect(gaps[0]).toEqual(gaps[0]?.map(() => 0));
  expect(Math.min(...(gaps.at(-1) ?? []))).toBeGreaterThan(0);
});

test("a reference without an adapter, and what is no function, is refused before anything is read", () => {
  const make = (computeLossFunc: unknown, peftConfig = {}) =>
    new SFTTrainer({
      model: fakeModel(),
      trainDataset: conversations(3),
      computeLossFunc: computeLossFunc as ComputeLossFunc,
      peftConfig,
    });
  expect(() => make({ referenceLogProbs: true, compute: nll }, { fullFinetuning: true })).toThrow(
    /\[computeLossFunc.referenceLogProbs\] expected an adapter/u,
  );
  for (const wrong of [
    "nll",
    { compute: nll },
    { referenceLogProbs: true },
    { referenceLogProbs: true, compute: nll, beta: 1 },
  ])
    expect(() => make(wrong)).toThrow(OptionError);
});

test.each<[string, (good: LossResult) => unknown, string]>([
  ["nothing", () => undefined, "expected a finite number as loss, got undefined"],
  ["a loss that is NaN", (good) => ({ ...good, loss: Number.NaN }), "expected a finite number as loss, got NaN"],
  ["a loss that is text", (good) => ({ ...good, loss: "3" }), 'expected a finite number as loss, got "3"'],
  ["no denominator", ({ denominator: _, ...good }) => good, "expected a number from 0 as denominator, got undefined"],
  ["a denominator of 0", (good) => ({ ...good, denominator: 0 }), "expected a denominator above 0 for the loss"],
  [
    "a zero loss over 0",
    (good) => ({ ...good, loss: 0, denominator: 0 }),
    "expected a denominator above 0 for derivatives",
  ],
  [
    "no derivatives",
    (good) => ({ ...good, logProbGradients: undefined }),
    "expected 4 lists as logProbGradients, one per row, got undefined",
  ],
  [
    "a row less",
    (good) => ({ ...good, logProbGradients: good.logProbGradients.slice(1) }),
    "expected 4 lists as logProbGradients, one per row, got 3",
  ],
  [
    "a derivative less",
    (good) => ({ ...good, logProbGradients: good.logProbGradients.map((list) => Array.from(list).slice(1)) }),
    "numbers as logProbGradients[0], one per supervised token, got",
  ],
  [
    "a derivative that is NaN",
    (good) => ({ ...good, logProbGradients: good.logProbGradients.map((list) => Array.from(list, () => Number.NaN)) }),
    "expected a finite number as logProbGradients[0][0], got NaN",
  ],
  [
    "a number as derivatives",
    (good) => ({ ...good, logProbGradients: good.logProbGradients.map(() => 1) }),
    "expected numbers as logProbGradients[0], got 1",
  ],
  [
    "wrong derivatives by entropy",
    (good) => ({ ...good, entropyGradients: [] }),
    "expected 4 lists as entropyGradients, one per row, got 0",
  ],
])(
  "%s ends the run with the micro-batch and its rows named, and what was trained is kept",
  async (_, spoil, message) => {
    const args = {
      maxSteps: 4,
      evalStrategy: "no",
      trainSamplingStrategy: "sequential",
      saveStrategy: "end",
      tokenBudget: 40,
    };
    const spoilt =
      (broken: boolean): LossFunction =>
      async (batch) => {
        const good = nll(batch);
        return broken && batch.step === 2 && batch.microBatch === 1 ? (spoil(good) as LossResult) : good;
      };
    const calls: string[] = [];
    const fake = { onCall: (name: string) => calls.push(name) };
    const { trainer: made, outputDir } = await trainer(args, fake, { computeLossFunc: spoilt(true) });
    const { error } = await record(made.train());
    expect(error).toBeInstanceOf(CallbackError);
    expect(error?.message).toContain(message);
    expect(error?.message).toMatch(/^\[computeLossFunc\] micro-batch 1 of step 2 \(rows \d+ at .+:\d+/u);
    expect(await readdir(outputDir)).toContain("checkpoint-1");
    // What the step had summed is thrown away before weights are saved.
    expect(calls.slice(calls.lastIndexOf("forward"))).toEqual(
      expect.arrayContaining(["discardGradient", "saveCheckpoint"]),
    );
    const { trainer: again } = await trainer({ ...args, outputDir }, {}, { computeLossFunc: spoilt(false) });
    const { trainer: whole } = await trainer(args, {}, { computeLossFunc: spoilt(false) });
    expect((await again.train({ resumeFromCheckpoint: true })).lossHash).toBe((await whole.train()).lossHash);
  },
);

test("a function that throws is named with what it threw, in training and in an evaluation", async () => {
  const cause = new Error("no reward for this row");
  const failing =
    (when: (batch: LossBatch) => boolean): LossFunction =>
    (batch) => {
      if (when(batch)) throw cause;
      return nll(batch);
    };
  const run = async (computeLossFunc: LossFunction) =>
    (await record((await trainer({ evalSteps: 2 }, {}, { computeLossFunc })).trainer.train())).error;
  const trained = await run(failing(({ step }) => step === 1));
  expect(trained).toMatchObject({ code: "CALLBACK_FAILED", cause });
  expect(trained?.message).toMatch(/micro-batch 0 of step 1 \(.*expected no error, got: no reward for this row/u);
  const evaluated = await run(failing(({ step }) => step === null));
  expect(evaluated).toMatchObject({ code: "CALLBACK_FAILED", cause });
  expect(evaluated?.message).toContain("batch 0 of an evaluation");
});

test("a function whose promise never settles is named after hookTimeout, and the run is saved, in training and in an evaluation", async () => {
  const hanging =
    (when: (batch: LossBatch) => boolean): LossFunction =>
    (batch) =>
      when(batch) ? new Promise<never>(() => {}) : nll(batch);
  const run = async (computeLossFunc: LossFunction) => {
    const { trainer: made } = await trainer({ hookTimeout: 0.05, evalSteps: 2 }, {}, { computeLossFunc });
    const { events, error } = await record(made.train());
    return { error, saved: ofType(events, "checkpoint").map(({ step }) => step) };
  };
  const trained = await run(hanging(({ step }) => step === 2));
  expect(trained.error).toMatchObject({ code: "CALLBACK_FAILED" });
  expect(trained.error?.message).toMatch(
    /^\[computeLossFunc\] micro-batch 0 of step 2 \(rows .*\): expected no error, got a promise that is still pending after 0\.05 seconds \(hookTimeout\); fix the function, or raise hookTimeout$/u,
  );
  expect(trained.saved).toEqual([1]);
  const evaluated = await run(hanging(({ step }) => step === null));
  expect(evaluated.error?.message).toMatch(/^\[computeLossFunc\] batch 0 of an evaluation \(.*\(hookTimeout\); fix/u);
  expect(evaluated.saved).toEqual([2]);
});

test("a run goes on only with a function, and without one only where it began so", async () => {
  const args = { maxSteps: 4, evalStrategy: "no", saveSteps: 2 };
  const { trainer: made, outputDir } = await trainer(args, {}, { computeLossFunc: nll });
  await made.train();
  const { trainer: without } = await trainer({ ...args, outputDir });
  await expect(without.train({ resumeFromCheckpoint: `${outputDir}/checkpoint-2` })).rejects.toThrow(CheckpointError);
});

test("a dry run plans for two phases, and says which options have no effect", async () => {
  const plain = await (await trainer({})).trainer.dryRun();
  const { trainer: made } = await trainer({ lossType: "dft", zLossMultiplier: 1e-4 }, {}, { computeLossFunc: nll });
  const { memory, warnings } = await made.dryRun();
  expect(memory?.pass).toEqual({ ...plain.memory?.pass, objective: { type: "dft" }, twoPhases: true });
  expect(memory?.plan.peak).toBe(2 * (plain.memory?.plan.peak ?? 0));
  expect(warnings.filter((message) => message.includes("has no effect"))).toEqual([
    'lossType "dft" has no effect: computeLossFunc says what is minimised',
    "zLossMultiplier 0.0001 has no effect: computeLossFunc says what is minimised",
  ]);
});

test("a gradient that is not finite changes no weight", async () => {
  const { trainer: made } = await trainer(
    { maxSteps: 4, evalStrategy: "no" },
    { nonFiniteSteps: [2] },
    { computeLossFunc: nll },
  );
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  expect(ofType(events, "warning").map(({ message }) => message)).toEqual([
    expect.stringMatching(/^step 2: .*not finite, so the step was skipped/u),
  ]);
});

test("a model that has diverged is the run's error, and the function is not asked about it", async () => {
  const seen: number[] = [];
  const computeLossFunc: LossFunction = (batch) => {
    seen.push(...batch.rows.flatMap(({ logProbs }) => [...logProbs]));
    return nll(batch);
  };
  const args = { learningRate: 1e300, maxGradNorm: 0, maxSteps: 6, evalStrategy: "no" };
  const { trainer: made } = await trainer(args, {}, { computeLossFunc });
  const { error } = await record(made.train());
  expect(error).toMatchObject({ code: "NON_FINITE" });
  expect(error?.message).toMatch(/rows: .+:\d+/u);
  expect(seen.length).toBeGreaterThan(0);
  expect(seen.every(Number.isFinite)).toBe(true);
});
