import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type LanguageModel, OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import type { SFTTrainerOptions } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { lines } from "../testing/lines.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations } from "../testing/scratch.ts";
import { trainer } from "../testing/sft-trainer.ts";

test("tells what it does, in order, and learns", async () => {
  const { trainer: made, outputDir } = await trainer({
    saveSteps: 4,
    evalSteps: 3,
    evalOnStart: true,
    sampleEverySteps: 3,
  });
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  const samples = "sample sample sample";
  expect(events.map((event) => event.type).join(" ")).toBe(
    [
      `prepared trainBegin evalBegin eval ${samples}`,
      `epochBegin step log step log step epochEnd log evalBegin eval ${samples} health`,
      `epochBegin step log checkpoint step log step epochEnd log evalBegin eval ${samples} checkpoint`,
      "trainEnd done",
    ].join(" "),
  );
  // The answers that it learns first are all the same.
  expect(ofType(events, "health").map(({ rule }) => rule)).toEqual(["equal-answers"]);
  const [before, , after] = ofType(events, "eval");
  expect(after?.evalLoss).toBeLessThan((before?.evalLoss ?? 0) - 1);
  expect(ofType(events, "eval").map(({ best }) => best)).toEqual([false, true, true]);
  expect(ofType(events, "sample")[3]).toMatchObject({ step: 3, prompt: "say abc0", reference: "xyz" });
  expect(ofType(events, "prepared")[0]).toMatchObject({
    step: 0,
    totalSteps: 6,
    runDir: outputDir,
    data: { rows: 20, kept: 20 },
  });
});

test("accumulation, packing and coalescing change no metric", async () => {
  const rows = conversations(16);
  const run = async (args: object) => {
    const { trainer: made, outputDir } = await trainer({ maxSteps: 4, ...args }, {}, { trainDataset: rows });
    await made.train();
    return lines(join(outputDir, "metrics.jsonl"));
  };
  const packed = await run({});
  expect(await run({ tokenBudget: 1 })).toEqual(packed);
  expect(await run({ tokenBudget: 60 })).toEqual(packed);
  const regrouped = await run({ perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 8 });
  for (const [n, line] of regrouped.entries()) {
    expect(line.loss ?? 0).toBeCloseTo(packed[n]?.loss ?? 0, 12);
    expect(line.grad_norm ?? 0).toBeCloseTo(packed[n]?.grad_norm ?? 0, 12);
  }
});

test("a log line covers the steps since the last one, per supervised token; the rest is logged at the end", async () => {
  const each = await trainer({ maxSteps: 5 });
  const { events } = await record(each.trainer.train());
  const some = await trainer({ maxSteps: 5, loggingSteps: 2 });
  await some.trainer.train();
  const logged = (await lines(join(some.outputDir, "metrics.jsonl"))).filter((line) => line.loss !== undefined);
  expect(logged.map(({ step }) => step)).toEqual([2, 4, 5]);
  const losses = ofType(events, "log");
  expect(logged[2]?.loss).toBe(losses[4]?.loss);
  expect(logged[0]?.mean_token_accuracy).toBeCloseTo(
    ((losses[0]?.meanTokenAccuracy ?? 0) + (losses[1]?.meanTokenAccuracy ?? 0)) / 2,
    12,
  );
  const [low, high] = [losses[0]?.loss ?? 0, losses[1]?.loss ?? 0].sort((a, b) => a - b);
  expect(logged[0]?.loss).toBeGreaterThan(low ?? 0);
  expect(logged[0]?.loss).toBeLessThan(high ?? 0);
});

test("full fine-tuning writes a model and takes the smaller rate", async () => {
  const { trainer: made, outputDir } = await trainer({ maxSteps: 1 }, {}, { peftConfig: { fullFinetuning: true } });
  const { events } = await record(made.train());
  expect(ofType(events, "step")[0]?.learningRate).toBe(2e-5);
  expect(await readdir(join(outputDir, "adapter"))).toEqual(["model.safetensors"]);
  expect(await readdir(join(outputDir, "checkpoint-1"))).toContain("model.safetensors");
});

test("the staged order trains the short rows first, then everything", async () => {
  const args = { trainSamplingStrategy: "staged", simpleMaxLength: 20, gradientAccumulationSteps: 1 };
  const { trainer: made } = await trainer(args);
  const { events } = await record(made.train());
  const prepared = ofType(events, "prepared")[0];
  const steps = ofType(events, "step");
  expect(prepared?.totalSteps).toBe(steps.length);
  const firstEpoch = steps.filter(({ epoch }) => epoch <= 1);
  expect(firstEpoch.length).toBeGreaterThan(0);
  for (const { tokens } of firstEpoch) expect(tokens).toBeLessThanOrEqual(4 * 20);
  expect(steps.length - firstEpoch.length).toBe(5);
});

test("own prompts are answered, and a missing prompt is said", async () => {
  const own = await trainer({ maxSteps: 2, sampleEverySteps: 2, samplePrompts: ["say abc"], sampleMaxNewTokens: 5 });
  const [sample] = ofType((await record(own.trainer.train())).events, "sample");
  expect(sample).toMatchObject({ step: 0, prompt: "say abc", reference: null, finishReason: "length" });
  expect(sample?.completion.length).toBeLessThanOrEqual(5);
  const none = await trainer({ maxSteps: 1, sampleEverySteps: 1 }, {}, { evalDataset: null });
  expect(ofType((await record(none.trainer.train())).events, "warning")[0]?.message).toMatch(/but there is none/);
});

test("the result holds what the user should know and what the rows have lost", async () => {
  const heard: string[] = [];
  const listener = ({ message }: Error) => heard.push(message);
  process.on("warning", listener);
  const { trainer: made, outputDir } = await trainer({ maxSteps: 1, maxLength: 20 });
  const { warnings, data, evalData } = await made.train();
  await new Promise(setImmediate);
  process.off("warning", listener);
  expect(warnings).toContainEqual(expect.stringMatching(/rows are longer than maxLength and were cut/u));
  expect(heard).toEqual(warnings);
  expect([data.rows, data.truncated > 0, evalData?.rows]).toEqual([20, true, 5]);
  const report = JSON.parse(await readFile(join(outputDir, "report.json"), "utf8"));
  expect(report).toMatchObject({ warnings, data: JSON.parse(JSON.stringify(data)) });
});

test("options are checked when the trainer is made", async () => {
  await expect(trainer({ learningRat: 1 })).rejects.toThrow(/did you mean "learningRate"/);
  await expect(trainer({}, {}, { peftConfig: { fullFinetuning: true, adapterPath: "a" } })).rejects.toThrow(
    OptionError,
  );
});

test("options that need an evaluation set say so", async () => {
  for (const args of [{ evalStrategy: "steps" }, { loadBestModelAtEnd: true }, { earlyStoppingPatience: 2 }]) {
    const { trainer: made } = await trainer(args, {}, { evalDataset: null });
    await expect(made.train()).rejects.toThrow(/give evalDataset/);
  }
});

/** The rates of each step, one for each group: decay, no_decay, embedding, lora_b. */
async function groupRates(args: object, more: Partial<SFTTrainerOptions> = {}): Promise<number[][]> {
  const rates: number[][] = [];
  const model = fakeModel();
  const watched: LanguageModel = {
    ...model,
    createSession: async (options) => {
      const session = await model.createSession(options);
      const update = session.update.bind(session);
      session.update = (given) => {
        rates.push([...given.learningRates]);
        return update(given);
      };
      return session;
    },
  };
  const groups = { learningRate: 0.01, loraplusLrRatio: 16, embeddingLearningRate: 0.001 };
  const { trainer: made } = await trainer({ ...groups, ...args }, {}, { model: watched, ...more });
  await made.train();
  return rates;
}

test("every parameter group follows the schedule to its own peak", async () => {
  expect(await groupRates({ maxSteps: 4, warmupSteps: 2 })).toEqual([
    [0, 0, 0, 0],
    [0.005, 0.08, 0.0005, 0.08],
    [0.01, 0.16, 0.001, 0.16],
    [0.005, 0.08, 0.0005, 0.08],
  ]);
});

test("and a program's own schedule in the ratio of the peaks; without a peak all have its rate", async () => {
  const lrScheduler = (step: number) => 0.02 / step;
  expect(await groupRates({ maxSteps: 2 }, { lrScheduler })).toEqual([
    [0.02, 0.32, 0.002, 0.32],
    [0.01, 0.16, 0.001, 0.16],
  ]);
  expect(await groupRates({ maxSteps: 1, learningRate: 0 }, { lrScheduler })).toEqual([[0.02, 0.02, 0.02, 0.02]]);
});
