import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AbortError, OptionError } from "@tunesmith/core";
import { expect, test, vi } from "vitest";
import type { MetricContext, MetricFunctions, SFTTrainerOptions } from "../../index.ts";
import { lines } from "../../testing/lines.ts";
import { ofType, record } from "../../testing/record.ts";
import { conversations } from "../../testing/scratch.ts";
import { trainer } from "../../testing/sft-trainer.ts";

// Whole runs with all their syncing; a busy disk takes its time.
vi.setConfig({ testTimeout: 120_000 });

/** Share of the rows whose answer is the reference. */
const exactMatch = async ({ generate, rows }: MetricContext) => {
  const answers = await generate(rows, { maxNewTokens: 12 });
  return rows.filter(({ reference }, n) => answers[n] === reference).length / rows.length;
};

const readReport = async (outputDir: string) => JSON.parse(await readFile(join(outputDir, "report.json"), "utf8"));

/** Metrics that give these values, one per evaluation. */
const given = (values: unknown[]): MetricFunctions => {
  const left = [...values];
  return { score: () => left.shift() as number };
};

test("a metric is evaluated where the loss is, in batches, and stands in events, files, report and result", async () => {
  const sizes: number[] = [];
  const seen: MetricContext["rows"][] = [];
  const metrics = {
    exactMatch: async (context: MetricContext) => {
      seen.push(context.rows);
      return exactMatch(context);
    },
    answerLength: async ({ generate, rows, session }: MetricContext) => {
      const generateNow = session.generate.bind(session);
      session.generate = (options) => {
        sizes.push(options.prompts.length);
        return generateNow(options);
      };
      const answers = await generate(["say abc", ...rows], { maxNewTokens: 3 });
      session.generate = generateNow;
      return answers.reduce((sum, { length }) => sum + length, 0) / answers.length;
    },
  };
  const args = { learningRate: 1e-3, evalOnStart: true, perDeviceEvalBatchSize: 4, reportTo: "tensorboard" };
  const { trainer: made, outputDir } = await trainer(args, {}, { metrics });
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  const evaluations = ofType(events, "eval");
  expect(evaluations.map(({ step }) => step)).toEqual([0, 3, 6]);
  // Two of the five answers are "xyz".
  expect(evaluations.map(({ evalExactMatch }) => evalExactMatch)).toEqual([0, 0.4, 0.4]);
  expect(sizes).toEqual([4, 2, 4, 2, 4, 2]);
  expect(seen[0]?.[1]).toMatchObject({
    prompt: "say abcabc1",
    reference: "xyzxyz",
    row: conversations(2)[1],
    ids: expect.any(Int32Array),
  });
  const written = (await lines(join(outputDir, "metrics.jsonl"))).filter((line) => "eval_loss" in line);
  expect(written.map((line) => line.eval_exact_match)).toEqual([0, 0.4, 0.4]);
  expect(written.at(-1)?.eval_answer_length).toBe(evaluations.at(-1)?.evalAnswerLength);
  const [name = ""] = await readdir(join(outputDir, "runs"));
  expect(await readFile(join(outputDir, "runs", name), "latin1")).toContain("eval/exact_match");
  expect(ofType(events, "done")[0]?.result.evalAfter).toMatchObject({ evalExactMatch: 0.4 });
  expect((await readReport(outputDir)).eval).toMatchObject({
    before: { evalExactMatch: 0 },
    after: { evalExactMatch: 0.4 },
  });
});

test("a metric chooses the best model and stops early, by any spelling; one that ends with loss the other way", async () => {
  const choice = { evalSteps: 1, loadBestModelAtEnd: true, earlyStoppingPatience: 2, saveStrategy: "no" };
  for (const metricForBestModel of ["score", "eval_score", "evalScore"]) {
    const options = { metrics: given([1, 3, 2, 2.5, 9, 9]) };
    const { trainer: made, outputDir } = await trainer({ ...choice, metricForBestModel }, {}, options);
    const result = await made.train();
    expect(result).toMatchObject({ stoppedBy: "early_stopping", globalStep: 4, evalAfter: { evalScore: 3 } });
    expect(await readReport(outputDir)).toMatchObject({ loadedBestStep: 2, eval: { best: 3, bestStep: 2 } });
  }
  const judgeLoss = given([1, 3, 2, 2.5]).score as MetricFunctions[string];
  const falling = await trainer({ ...choice, metricForBestModel: "judgeLoss" }, {}, { metrics: { judgeLoss } });
  await falling.trainer.train();
  expect(await readReport(falling.outputDir)).toMatchObject({ loadedBestStep: 1, steps: 3 });
  const turned = { ...choice, metricForBestModel: "score", greaterIsBetter: false };
  const lower = await trainer(turned, {}, { metrics: given([2, 1, 3, 4]) });
  await lower.trainer.train();
  expect(await readReport(lower.outputDir)).toMatchObject({ loadedBestStep: 2, steps: 4 });
});

test("each of several evaluation sets has it on its own rows, by its name", async () => {
  const evalDataset = { short: conversations(2), myLong: conversations(5) };
  const metrics = { rowCount: ({ rows, set }: MetricContext) => rows.length + (set === "short" ? 100 : 0) };
  const args = { metricForBestModel: "eval_myLong_row_count", loadBestModelAtEnd: true, maxSteps: 3, evalSteps: 3 };
  const { trainer: made, outputDir } = await trainer(args, {}, { evalDataset, metrics });
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  expect(ofType(events, "eval").map(({ dataset, evalRowCount }) => [dataset, evalRowCount])).toEqual([
    ["short", 102],
    ["myLong", 5],
  ]);
  const written = await lines(join(outputDir, "metrics.jsonl"));
  expect(written).toContainEqual(expect.objectContaining({ eval_short_row_count: 102 }));
  expect(written).toContainEqual(expect.objectContaining({ eval_myLong_row_count: 5 }));
  expect(await readReport(outputDir)).toMatchObject({ eval: { best: 5 } });
});

test("a metric that fails or gives no finite number is named, and the run goes on from there in another one", async () => {
  const wrong: [() => unknown, RegExp][] = [
    [() => Number.NaN, /^\[metrics\.score\] expected a finite number for step 3, got NaN; fix the metric$/u],
    [() => "0.5", /got "0\.5"; fix the metric$/u],
    [() => undefined, /got undefined/u],
    [() => Number.POSITIVE_INFINITY, /got Infinity/u],
    [
      async () => JSON.parse("{"),
      /^\[metrics\.score\] expected a finite number for step 3, got: .*JSON.*; fix the metric$/u,
    ],
    [
      ({ generate }: never) => (generate as MetricContext["generate"])([{ ids: null }]).then(() => 1),
      /a row with a prompt or a text at place 0, got none/u,
    ],
    [() => new Promise(() => {}), /got a promise that is still pending .*hookTimeout/u],
  ] as [() => unknown, RegExp][];
  const whole = await trainer({ evalSteps: 3 }, {}, { metrics: { score: () => 1 } });
  const { lossHash } = await whole.trainer.train();
  for (const [score, message] of wrong) {
    const options = { metrics: { score } } as Partial<SFTTrainerOptions>;
    const { trainer: made, outputDir } = await trainer({ evalSteps: 3, hookTimeout: 0.01 }, {}, options);
    const { error, events } = await record(made.train());
    expect(error).toMatchObject({ code: "CALLBACK_FAILED", message: expect.stringMatching(message) });
    expect(events.at(-1)).toMatchObject({ type: "checkpoint", step: 3 });
    const { trainer: next } = await trainer({ evalSteps: 3, outputDir }, {}, { metrics: { score: () => 1 } });
    const resumed = await record(next.train({ resumeFromCheckpoint: true }));
    expect(ofType(resumed.events, "eval").map(({ step, evalScore }) => [step, evalScore])).toEqual([
      [3, 1],
      [6, 1],
    ]);
    expect(ofType(resumed.events, "done")[0]?.result.lossHash).toBe(lossHash);
  }
});

test("a stop within a metric is a stop, and the evaluation begins again where the run goes on", async () => {
  const controller = new AbortController();
  const stopping = async ({ generate, rows }: MetricContext) => {
    controller.abort();
    await generate(rows);
    return 1;
  };
  const { trainer: made, outputDir } = await trainer({ evalSteps: 3 }, {}, { metrics: { stopping } });
  await expect(made.train({ signal: controller.signal })).rejects.toThrow(AbortError);
  const { trainer: next } = await trainer({ evalSteps: 3, outputDir }, {}, { metrics: { stopping: exactMatch } });
  const { events } = await record(next.train({ resumeFromCheckpoint: true }));
  expect(ofType(events, "eval").map(({ step }) => step)).toEqual([3, 6]);
});

test("metrics need rows and names of their own", async () => {
  const wrong: [Partial<SFTTrainerOptions>, RegExp][] = [
    [{ metrics: { score: () => 1 }, evalDataset: null }, /^\[metrics\] expected an evaluation set to measure on/u],
    [{ metrics: { loss: () => 1 } }, /^\[metrics\.loss\] expected a name that no other metric has, got eval_loss/u],
    [
      { metrics: { exactMatch: () => 1, exact_match: () => 1 } },
      /^\[metrics\.exact_match\] .* eval_exact_match twice/u,
    ],
    [{ metrics: { "a/b": () => 1 } }, /^\[metrics\.a\/b\] expected a name of letters/u],
    [{ metrics: { score: 1 as never } }, /^\[metrics\.score\] expected a function, got number/u],
    [{ args: { metricForBestModel: "score" } }, /expected one of eval_loss, eval_mean_token_accuracy, got "score"/u],
  ];
  for (const [options, message] of wrong) {
    const made = trainer(options.args ?? {}, {}, options);
    await expect(made).rejects.toThrow(OptionError);
    await expect(made).rejects.toThrow(message);
  }
});
