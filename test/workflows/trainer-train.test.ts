// What `trainer.train()` owes to whoever knows that of Unsloth, TRL and transformers: each test is one criterion.
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  AbortError,
  DataError,
  explain,
  FastLanguageModel,
  healthText,
  NonFiniteError,
  type SFTConfig,
  SFTTrainer,
  type SFTTrainerOptions,
  type TrainEvent,
} from "../../packages/cli/src/index.ts";
import { conversations } from "../support/rows.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";
import { emptyRow } from "../support/safetensors.ts";

const rows = conversations(20);

type More = Partial<Omit<SFTTrainerOptions, "args">>;

/** A trainer of a small adapter, and where its run goes. */
async function trainer(args: SFTConfig = {}, more: More = {}) {
  const outputDir = join(temporaryFolder(), "run");
  const model = (await FastLanguageModel.fromPretrained(smallModel("llama"), { device: "cpu" })).getPeftModel({ r: 4 });
  const options = { maxSteps: 4, learningRate: 5e-3, perDeviceTrainBatchSize: 2, outputDir, ...args };
  return { outputDir, trainer: new SFTTrainer({ model, trainDataset: rows, args: options, ...more }) };
}

async function events(made: SFTTrainer, options = {}): Promise<TrainEvent[]> {
  const seen: TrainEvent[] = [];
  for await (const event of made.train(options)) seen.push(event);
  return seen;
}

const ofType = <T extends TrainEvent["type"]>(seen: readonly TrainEvent[], type: T) =>
  seen.filter((event): event is Extract<TrainEvent, { type: T }> => event.type === type);

const adapterOf = (outputDir: string) => readFileSync(join(outputDir, "adapter/adapter_model.safetensors"));

const error = (made: SFTTrainer) =>
  made.train().then(
    () => null,
    (cause: unknown) => cause as Error,
  );

test("1. takes no argument, resumeFromCheckpoint as true or a path, and an AbortSignal", async () => {
  const { trainer: made, outputDir } = await trainer({ saveSteps: 2 });
  expect((await made.train()).globalStep).toBe(4);
  expect((await made.train({ resumeFromCheckpoint: true })).globalStep).toBe(4);
  const from = await events(made, { resumeFromCheckpoint: join(outputDir, "checkpoint-2") });
  expect(ofType(from, "step").map(({ step }) => step)).toEqual([3, 4]);
  const { trainer: stopped } = await trainer();
  await expect(stopped.train({ signal: AbortSignal.abort() })).rejects.toThrow(AbortError);
});

test("2. refuses before any computation what nothing can be learned from", async () => {
  const bad: [More, SFTConfig, RegExp][] = [
    [{ trainDataset: [] }, {}, /expected at least one row/u],
    [{ trainDataset: [{ messages: [{ role: "user", content: "a question alone" }] }] }, {}, /assistant/u],
    [{ trainDataset: rows.slice(0, 2) }, { maxLength: 2 }, /maxLength/u],
  ];
  for (const [more, args, message] of bad) {
    const { trainer: made, outputDir } = await trainer(args, more);
    const cause = await error(made);
    expect(cause).toBeInstanceOf(DataError);
    expect(cause?.message).toMatch(message);
    expect(existsSync(outputDir)).toBe(false);
  }
  const huge = await trainer({ perDeviceTrainBatchSize: 2, memoryCheck: "warn" });
  expect(ofType(await events(huge.trainer), "prepared")[0]?.memory.peak).toBeGreaterThan(0);
});

test("3. tells of tokens in the rows whose rows of the embedding were never trained", async () => {
  const folder = join(temporaryFolder(), "model");
  cpSync(smallModel("llama"), folder, { recursive: true });
  const path = join(folder, "model.safetensors");
  const before = await FastLanguageModel.fromPretrained(folder, { device: "cpu" });
  const { tokens } = await explain(rows[0] as never, { model: before });
  const turn = tokens.find(({ text }) => text === "<|im_end|>")?.id as number;
  emptyRow(path, "model.embed_tokens.weight", turn);
  const findings = async (more: object) => {
    const model = (await FastLanguageModel.fromPretrained(folder, { device: "cpu" })).getPeftModel({ r: 4, ...more });
    const args = { outputDir: join(temporaryFolder(), "run"), maxSteps: 3 };
    const { health } = await new SFTTrainer({ model, trainDataset: rows, args }).train();
    return health.filter(({ rule }) => rule === "untrained-tokens").map(healthText);
  };
  expect(await findings({})).toEqual([
    expect.stringMatching(
      `^untrained-tokens: the rows hold tokens .* is nothing: "<\\|im_end\\|>" \\(${turn}\\); train them with modulesToSave`,
    ),
  ]);
  // What is trained along is no longer nothing.
  expect(await findings({ modulesToSave: ["embed_tokens"] })).toEqual([]);
});

test("4. an epoch has as many steps as its batches fill, the last smaller one among them, each normalised by itself", async () => {
  const made = async (accumulation: number) => {
    const args = { maxSteps: -1, numTrainEpochs: 1, gradientAccumulationSteps: accumulation } as const;
    const { trainer: one } = await trainer({ ...args, trainSamplingStrategy: "sequential", learningRate: 0 });
    return ofType(await events(one), "step");
  };
  // 10 micro-batches: 4 + 4 + 2.
  const steps = await made(4);
  expect(steps).toHaveLength(3);
  const [each, last] = [await made(1), steps[2]];
  expect(each).toHaveLength(10);
  const rest = each.slice(8);
  const tokens = rest.reduce((sum, step) => sum + step.tokens, 0);
  expect(last?.tokens).toBe(tokens);
  const [low = 0, high = 0] = rest.map(({ loss }) => loss).toSorted();
  expect(last?.loss).toBeGreaterThan(low);
  expect(last?.loss).toBeLessThan(high);
});

test("5. a step is one gradient over all its rows, clipped, and one update at the rate of the schedule", async () => {
  const run = async (args: SFTConfig) => {
    const { trainer: made, outputDir } = await trainer({ maxSteps: 3, ...args });
    return { steps: ofType(await events(made), "step"), adapter: adapterOf(outputDir) };
  };
  const plain = await run({ maxGradNorm: 1e9 });
  const clipped = await run({ maxGradNorm: 1e-3 });
  expect(clipped.steps[0]?.gradNorm).toBe(plain.steps[0]?.gradNorm);
  expect(clipped.adapter.equals(plain.adapter)).toBe(false);
  expect(plain.steps.map(({ learningRate }) => learningRate)).toEqual([5e-3, 5e-3 * (2 / 3), 5e-3 * (1 / 3)]);
  expect(new Set(plain.steps.map(({ loss }) => loss)).size).toBe(3);
});

test("6. 32 rows in one batch and in 32 batches of one have the same loss, for rows of any length", async () => {
  const losses = async (perDeviceTrainBatchSize: number, gradientAccumulationSteps: number) => {
    const args = { perDeviceTrainBatchSize, gradientAccumulationSteps, maxSteps: 2 };
    const { trainer: made } = await trainer(args, { trainDataset: conversations(32) });
    return ofType(await events(made), "step").map(({ loss }) => loss);
  };
  const [one, many] = [await losses(1, 32), await losses(32, 1)];
  for (const [n, loss] of one.entries()) expect(Math.abs(loss / (many[n] as number) - 1)).toBeLessThan(1e-5);
});

test("7. logs step 1 and every loggingSteps, with the rate that was used", async () => {
  const { trainer: made } = await trainer({ maxSteps: 7, loggingSteps: 3, loggingFirstStep: true, warmupSteps: 2 });
  const seen = await events(made);
  const used = new Map(ofType(seen, "step").map(({ step, learningRate }) => [step, learningRate]));
  const logs = ofType(seen, "log");
  expect(logs.map(({ step }) => step)).toEqual([1, 3, 6, 7]);
  for (const { step, learningRate } of logs) expect(learningRate).toBe(used.get(step));
});

test("8. evaluates at evalSteps, and what is trained is the same as without", async () => {
  const { trainer: made, outputDir } = await trainer({ evalSteps: 2 }, { evalDataset: conversations(6) });
  expect(ofType(await events(made), "eval").map(({ step }) => step)).toEqual([2, 4]);
  const without = await trainer();
  await without.trainer.train();
  expect(adapterOf(outputDir).equals(adapterOf(without.outputDir))).toBe(true);
});

test("9. a checkpoint has optimizer, place in the rows, all that is random, and the options that decide", async () => {
  const args: SFTConfig = { saveSteps: 2, saveTotalLimit: 2, warmupSteps: 2 };
  const { trainer: made, outputDir } = await trainer(args);
  await made.train();
  const checkpoint = join(outputDir, "checkpoint-2");
  expect(readdirSync(checkpoint)).toEqual(
    expect.arrayContaining([
      "adapter_model.safetensors",
      "optimizer.safetensors",
      "trainer_state.json",
      "MANIFEST.json",
    ]),
  );
  const whole = adapterOf(outputDir);
  await made.train({ resumeFromCheckpoint: checkpoint });
  expect(adapterOf(outputDir).equals(whole)).toBe(true);
  const { config } = JSON.parse(readFileSync(join(checkpoint, "trainer_state.json"), "utf8"));
  expect(config).toMatchObject({ seed: 3407, learningRate: 5e-3, r: 4 });
});

test("10. stops early, and ends with the weights of the best evaluation", async () => {
  const args: SFTConfig = { maxSteps: 60, learningRate: 0.3, evalSteps: 1, earlyStoppingPatience: 2 };
  const { trainer: made, outputDir } = await trainer(
    { ...args, loadBestModelAtEnd: true, lrSchedulerType: "constant" },
    { evalDataset: conversations(6) },
  );
  const result = await made.train();
  expect(result.stoppedBy).toBe("early_stopping");
  const { eval: found, loadedBestStep } = JSON.parse(readFileSync(join(outputDir, "report.json"), "utf8"));
  expect(result.globalStep - found.bestStep).toBe(2);
  expect(loadedBestStep).toBe(found.bestStep);
  expect(result.evalAfter?.evalLoss).toBe(found.best);
});

test("11. a loss that is not finite ends the run with its step and rows", async () => {
  const { trainer: made } = await trainer({ learningRate: 1e30, maxGradNorm: null, maxSteps: 8 });
  const cause = await error(made);
  expect(cause).toBeInstanceOf(NonFiniteError);
  expect(cause?.message).toMatch(/step \d.*rows: trainDataset:\d+/u);
});

test("12. an abort finishes the step, saves and rejects with AbortError", async () => {
  const stop = new AbortController();
  const { trainer: made, outputDir } = await trainer(
    {},
    {
      callbacks: [
        ({ type }) => {
          if (type === "step") stop.abort();
        },
      ],
    },
  );
  await expect(made.train({ signal: stop.signal })).rejects.toThrow(AbortError);
  expect(readdirSync(outputDir)).toContain("checkpoint-1");
});

test("13. gives globalStep, trainingLoss and the metrics of transformers", async () => {
  const { globalStep, trainingLoss, metrics } = await (await trainer()).trainer.train();
  expect([globalStep, trainingLoss]).toEqual([4, metrics.trainLoss]);
  const figures = ["trainRuntime", "trainSamplesPerSecond", "trainStepsPerSecond", "trainTokensPerSecond", "trainLoss"];
  for (const name of [...figures, "epoch", "peakMemoryBytes"])
    expect([name, (metrics as unknown as Record<string, number>)[name]]).toEqual([
      name,
      expect.toSatisfy((n) => n > 0),
    ]);
});

test("14. the event loop turns while a step is computed", async () => {
  const { trainer: made } = await trainer({ perDeviceTrainBatchSize: 16, tokenBudget: 100_000 });
  let [turns, isOver] = [0, false];
  const turn = () => {
    turns += 1;
    if (!isOver) setImmediate(turn);
  };
  const between: number[] = [];
  setImmediate(turn);
  for await (const event of made.train()) if (event.type === "step") between.push(turns);
  isOver = true;
  for (const [n, count] of between.entries()) expect(count - (between[n - 1] ?? 0)).toBeGreaterThan(0);
});

test("15. the same seed gives the same losses and the same bytes", async () => {
  const run = async () => {
    const { trainer: made, outputDir } = await trainer();
    const losses = ofType(await events(made), "step").map(({ loss }) => loss);
    return { losses, adapter: adapterOf(outputDir).toString("hex") };
  };
  expect(await run()).toEqual(await run());
});
