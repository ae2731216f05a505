import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import {
  ArgumentError,
  CallbackError,
  DataError,
  digestFile,
  FileSystemError,
  NonFiniteError,
  OptionError,
  type TrainSession,
  TunesmithError,
} from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { readRunConfig, SFTTrainer, type SFTTrainerOptions } from "../index.ts";
import { type FakeOptions, fakeModel } from "../testing/fake-session.ts";
import { plan } from "../testing/memory-plan.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";

/** A trainer of six steps with a run folder of its own. */
async function trainer(args: object = {}, fake: FakeOptions = {}, more: Partial<SFTTrainerOptions> = {}) {
  const outputDir = await scratchFolder(onTestFinished);
  const made = new SFTTrainer({
    model: fakeModel(fake),
    trainDataset: conversations(20),
    evalDataset: conversations(5),
    args: {
      outputDir,
      maxLength: 512,
      numTrainEpochs: 2,
      perDeviceTrainBatchSize: 4,
      gradientAccumulationSteps: 2,
      ...args,
    },
    ...more,
  });
  return { trainer: made, outputDir };
}

/** The error that something ends with. */
const failure = (work: PromiseLike<unknown>) =>
  Promise.resolve(work).then(
    () => null,
    (error: unknown) => error,
  );

const lines = async (path: string) =>
  (await readFile(path, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, number>);

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
    `prepared eval step log step log step log eval ${samples} step log checkpoint step log step log eval ${samples} checkpoint done`,
  );
  const [before, , after] = ofType(events, "eval");
  expect(after?.evalLoss).toBeLessThan((before?.evalLoss ?? 0) - 1);
  expect(ofType(events, "eval").map(({ best }) => best)).toEqual([false, true, true]);
  expect(ofType(events, "sample")[0]).toMatchObject({ step: 3, prompt: "say abc0", reference: "xyz" });
  expect(ofType(events, "prepared")[0]).toMatchObject({
    step: 0,
    totalSteps: 6,
    runDir: outputDir,
    data: { rows: 20, kept: 20 },
  });
});

test("the run folder holds everything that was promised", async () => {
  const { trainer: made, outputDir } = await trainer({
    saveSteps: 4,
    evalSteps: 3,
    evalOnStart: true,
    sampleEverySteps: 3,
  });
  const result = await made.train();
  const names = [
    "adapter",
    "checkpoint-4",
    "checkpoint-6",
    "config.resolved.yaml",
    "env.json",
    "metrics.jsonl",
    "report.json",
    "samples.jsonl",
  ];
  expect((await readdir(outputDir)).sort()).toEqual(names);
  expect((await readdir(join(outputDir, "checkpoint-6"))).sort()).toEqual([
    "MANIFEST.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "data_state.json",
    "optimizer.safetensors",
    "trainer_state.json",
  ]);
  const metrics = await lines(join(outputDir, "metrics.jsonl"));
  expect(metrics.map(({ step }) => step)).toEqual([0, 1, 2, 3, 3, 4, 5, 6, 6]);
  expect(Object.keys(metrics[0] ?? {})).toEqual([
    "step",
    "epoch",
    "eval_loss",
    "eval_mean_token_accuracy",
    "eval_entropy",
  ]);
  const logKeys = [
    "step",
    "epoch",
    "loss",
    "learning_rate",
    "grad_norm",
    "num_tokens",
    "mean_token_accuracy",
    "entropy",
  ];
  expect(Object.keys(metrics[1] ?? {})).toEqual(logKeys);
  expect(await lines(join(outputDir, "samples.jsonl"))).toHaveLength(6);
  const report = JSON.parse(await readFile(join(outputDir, "report.json"), "utf8"));
  expect(report).toMatchObject({
    steps: 6,
    epochs: 2,
    stoppedBy: "epochs",
    lossHash: result.lossHash,
    adapterDir: join(outputDir, "adapter"),
  });
  expect(report.eval.after.evalLoss).toBe(result.evalAfter?.evalLoss);
  expect(result).toMatchObject({ globalStep: 6, stoppedBy: "epochs", runDir: outputDir, metrics: { epoch: 2 } });
  expect(result.metrics.trainTokensPerSecond).toBeGreaterThan(0);
  expect(result.metrics.peakMemoryBytes).toBeGreaterThan(1e6);
  const environment = JSON.parse(await readFile(join(outputDir, "env.json"), "utf8"));
  expect(environment).toMatchObject({ node: process.version, backend: "fake", threads: 1 });
});

test("the resolved configuration alone gives the same run", async () => {
  const folder = await scratchFolder(onTestFinished);
  const [data, evalData] = [join(folder, "train.jsonl"), join(folder, "eval.jsonl")];
  await writeFile(
    data,
    conversations(20)
      .map((row) => JSON.stringify(row))
      .join("\n"),
  );
  await writeFile(evalData, JSON.stringify(conversations(4)));
  const args = { max_steps: 5, learning_rate: 1e-4, warmup_ratio: 0.2 };
  const { trainer: first, outputDir } = await trainer(
    args,
    {},
    { trainDataset: relative(process.cwd(), data), evalDataset: evalData, peftConfig: { r: 4 } },
  );
  const result = await first.train();
  const config = await readRunConfig(outputDir);
  expect(config).toMatchObject({ model: resolve("fake-model"), data, evalData, peftConfig: { r: 4, loraAlpha: 16 } });
  expect(config.args).toMatchObject({ outputDir, maxSteps: 5, warmupSteps: 0.2, seed: 3407 });
  const again = new SFTTrainer({
    model: fakeModel(),
    trainDataset: config.data ?? "",
    evalDataset: config.evalData,
    args: { ...config.args, outputDir: join(folder, "again") },
    peftConfig: config.peftConfig,
  });
  expect((await again.train()).lossHash).toBe(result.lossHash);
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

test("data is checked before the folder is made, and the folder before weights are loaded", async () => {
  const calls: string[] = [];
  const fake = { onCall: (name: string) => calls.push(name) };
  const masked = conversations(3).map(({ messages }) => ({
    messages: messages.map((message) => ({ ...message, train: false })),
  }));
  const folder = await scratchFolder(onTestFinished);
  const untouched = join(folder, "new");
  const bad = await trainer({ outputDir: untouched }, fake, { trainDataset: masked });
  await expect(bad.trainer.train()).rejects.toThrow(DataError);
  expect(await readdir(folder)).toEqual([]);

  const file = join(folder, "file");
  await writeFile(file, "");
  const unwritable = await trainer({ outputDir: join(file, "run") }, fake);
  await expect(unwritable.trainer.train()).rejects.toThrow(FileSystemError);
  expect(calls).toEqual([]);
});

test("a dry run goes as far as a run does before it makes its folder, and says the same", async () => {
  const calls: string[] = [];
  const fake = { onCall: (name: string) => calls.push(name) };
  const parent = await scratchFolder(onTestFinished);
  const outputDir = join(parent, "run");
  const args = { outputDir, maxLength: 9999, sampleEverySteps: 1 };
  const fine = await trainer(args, fake);
  const { events } = await record(fine.trainer.train());
  expect(calls).toContain("createSession");
  calls.length = 0;
  const { totalSteps, data, evalData, warnings, memory, args: decided } = await fine.trainer.dryRun();
  expect({ totalSteps, data, evalData }).toEqual({
    totalSteps: ofType(events, "prepared")[0]?.totalSteps,
    data: ofType(events, "prepared")[0]?.data,
    evalData: ofType(events, "prepared")[0]?.evalData,
  });
  expect(warnings).toEqual(ofType(events, "warning").map(({ message }) => message));
  expect(warnings[0]).toContain("beyond the model's context");
  expect(decided).toMatchObject({ outputDir, maxLength: 512, learningRate: 2e-4, gradientCheckpointing: false });
  expect(memory?.pass.longest).toBeGreaterThan(10);

  const bad = [
    // The answer begins beyond the model's context: nothing is left to train on.
    { rows: [{ prompt: "a".repeat(600), completion: "b" }], args, fake: {} },
    { rows: conversations(3), args: { ...args, warmupSteps: 1.5 }, fake: {} },
    { rows: conversations(3), args, fake: { plan: { ...plan, peak: 2 ** 60 } } },
  ];
  for (const { rows, args: given, fake: model } of bad) {
    const made = await trainer({ ...given, outputDir: join(parent, "other") }, model, { trainDataset: rows });
    const [dry, real] = [await failure(made.trainer.dryRun()), await failure(made.trainer.train())];
    expect(dry).toBeInstanceOf(TunesmithError);
    expect(dry).toEqual(real);
  }
  expect(calls).toEqual([]);
  expect(await readdir(parent)).toEqual(["run"]);
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

test("another run's folder is never written over; one that only failed at its set-up is", async () => {
  const { trainer: made, outputDir } = await trainer({ saveStrategy: "no", maxSteps: 1 });
  await made.train();
  await expect(made.train()).rejects.toThrow(OptionError);
  const started = await trainer({ maxSteps: 1 });
  await mkdir(join(started.outputDir, "data"));
  await writeFile(join(started.outputDir, "metrics.jsonl"), '{"step":0,"eval_loss":1}\n');
  await started.trainer.train();
  expect(await readdir(started.outputDir)).toContain("data");
  expect((await lines(join(outputDir, "metrics.jsonl")))[0]).toMatchObject({ step: 1 });
});

test("a session that cannot be made leaves no new run folder, and a wrong adapter is a wrong option", async () => {
  const fake = {
    onCall: () => {
      throw new ArgumentError("[lora.targetModules] expected endings of module names");
    },
  };
  const parent = await scratchFolder(onTestFinished);
  const fresh = await trainer({ outputDir: join(parent, "run") }, fake);
  await expect(fresh.trainer.train()).rejects.toThrow(OptionError);
  expect(await readdir(parent)).toEqual([]);
  const kept = join(parent, "kept");
  await mkdir(kept);
  await writeFile(join(kept, "notes.txt"), "");
  const old = await trainer({ outputDir: kept }, fake);
  await expect(old.trainer.train()).rejects.toThrow(OptionError);
  expect(await readdir(kept)).toContain("notes.txt");
});

test("a full disk says how to go on", async () => {
  for (const words of ["No space left on device (os error 28)", "ENOSPC: no space left on device, write"]) {
    let saved = 0;
    const fake = {
      onCall: (name: string) => {
        if (name !== "saveCheckpoint") return;
        if (saved === 1) throw new FileSystemError(`[model.safetensors] expected to write, got: ${words}`);
        saved += 1;
      },
    };
    const { trainer: made, outputDir } = await trainer({ saveSteps: 2 }, fake);
    await expect(made.train()).rejects.toThrow(`free some space, then: tunesmith resume ${outputDir}`);
    const { trainer: first } = await trainer({ saveSteps: 2 }, fake);
    await expect(first.train()).rejects.toThrow(/got a full disk .*no checkpoint has been written yet/);
  }
});

test("far more epochs than the data take are warned of", async () => {
  const warnings = async (args: object) => {
    const { trainer: made } = await trainer(args);
    return ofType((await record(made.train())).events, "warning").map(({ message }) => message);
  };
  expect(await warnings({ numTrainEpochs: 11 })).toEqual([
    expect.stringMatching(/^numTrainEpochs 11 is far above the 3–5 that 20 rows usually take/u),
  ]);
  expect(await warnings({ numTrainEpochs: 10 })).toEqual([]);
  expect(await warnings({ numTrainEpochs: 11, maxSteps: 1 })).toEqual([]);
});

test("early stopping fires at the exact evaluation, and the best weights are kept", async () => {
  const evalLosses = [5, 4, 4.5, 4.2, 4.1, 1];
  const args = {
    maxSteps: 20,
    evalSteps: 2,
    earlyStoppingPatience: 3,
    loadBestModelAtEnd: true,
    saveStrategy: "no",
    tokenBudget: 100_000,
  };
  const { trainer: made, outputDir } = await trainer(args, { evalLosses });
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  expect(ofType(events, "eval").map(({ step, best }) => [step, best])).toEqual([
    [2, true],
    [4, true],
    [6, false],
    [8, false],
    [10, false],
  ]);
  const result = ofType(events, "done")[0]?.result;
  expect(result).toMatchObject({ stoppedBy: "early_stopping", globalStep: 10, evalAfter: { evalLoss: 4 } });
  const bytes = (folder: string) => digestFile(join(outputDir, folder, "adapter_model.safetensors"));
  expect(await bytes("adapter")).toEqual(await bytes("checkpoint-4"));
});

test("the newest checkpoints are kept, and the best one in addition", async () => {
  const evalLosses = [3, 1, 2, 2, 2, 2];
  const args = {
    maxSteps: 6,
    evalSteps: 1,
    saveSteps: 1,
    saveTotalLimit: 2,
    loadBestModelAtEnd: true,
    tokenBudget: 100_000,
  };
  const { trainer: made, outputDir } = await trainer(args, { evalLosses });
  await made.train();
  expect((await readdir(outputDir)).filter((name) => name.startsWith("checkpoint")).sort()).toEqual([
    "checkpoint-2",
    "checkpoint-5",
    "checkpoint-6",
  ]);
});

test("evaluation happens at the ends of epochs by default, and never without a strategy", async () => {
  const steps = async (args: object) => {
    const { trainer: made } = await trainer(args);
    return ofType((await record(made.train())).events, "eval").map(({ step }) => step);
  };
  expect(await steps({})).toEqual([3, 6]);
  expect(await steps({ numTrainEpochs: 1.5 })).toEqual([3, 5]);
  expect(await steps({ evalStrategy: "no" })).toEqual([]);
  expect(await steps({ evalStrategy: "steps", loggingSteps: 4 })).toEqual([4, 6]);
});

test("checkpoints follow the strategy", async () => {
  const steps = async (args: object) => {
    const { trainer: made } = await trainer(args);
    return ofType((await record(made.train())).events, "checkpoint").map(({ step }) => step);
  };
  expect(await steps({ saveStrategy: "epoch" })).toEqual([3, 6]);
  expect(await steps({ saveStrategy: "end" })).toEqual([6]);
  expect(await steps({ saveStrategy: "no" })).toEqual([]);
  expect(await steps({ saveSteps: 2 })).toEqual([2, 4, 6]);
});

test("a step that is not finite is skipped and named with its row; three in a row end the run", async () => {
  const { trainer: made } = await trainer(
    { trainSamplingStrategy: "sequential", saveSteps: 1 },
    { nonFiniteSteps: [2] },
  );
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  expect(ofType(events, "warning").map(({ step, message }) => [step, message])).toEqual([
    [2, expect.stringMatching(/step 2: loss NaN, gradient norm NaN; rows: trainDataset:9; not finite/)],
  ]);
  expect(ofType(events, "done")[0]?.result.trainingLoss).toBeGreaterThan(0);

  const hopeless = await trainer({ saveSteps: 1 }, { nonFiniteSteps: [3, 4, 5] });
  const end = await record(hopeless.trainer.train());
  expect(end.error).toBeInstanceOf(NonFiniteError);
  expect(end.error?.message).toContain(join(hopeless.outputDir, "checkpoint-4"));
  expect(ofType(end.events, "step")).toHaveLength(5);

  const apart = await trainer({}, { nonFiniteSteps: [1, 2, 4, 5] });
  expect((await record(apart.trainer.train())).error).toBeNull();
});

test("callbacks see every event in order, are awaited, and may use the session", async () => {
  const seen: string[] = [];
  let tokens = 0;
  const { trainer: made } = await trainer(
    {},
    {},
    {
      callbacks: [
        async (event, { session }) => {
          await new Promise((resolve) => setTimeout(resolve, 1));
          seen.push(event.type);
          if (event.type !== "done") return;
          for await (const _ of session.generate({ prompts: [Int32Array.of(130)], maxNewTokens: 3 })) tokens += 1;
        },
      ],
    },
  );
  const { events } = await record(made.train());
  expect(seen).toEqual(events.map((event) => event.type));
  expect(tokens).toBeGreaterThan(0);
});

test("a callback that throws ends the run with its error, and a checkpoint is left", async () => {
  const cause = new Error("out of coffee");
  let session: TrainSession | null = null;
  const { trainer: made, outputDir } = await trainer(
    {},
    {},
    {
      callbacks: [
        (event, context) => {
          session = context.session;
          if (event.type === "log" && event.step === 2) throw cause;
        },
      ],
    },
  );
  const { error, events } = await record(made.train());
  expect(error).toBeInstanceOf(CallbackError);
  expect(error).toMatchObject({ cause, message: expect.stringContaining("out of coffee") });
  expect(events.at(-1)).toMatchObject({ type: "checkpoint", step: 2 });
  expect(await readdir(join(outputDir, "checkpoint-2"))).toContain("MANIFEST.json");
  await expect((session as unknown as TrainSession).evaluate({} as never)).rejects.toThrow(/after dispose/);
});

test("full fine-tuning writes a model and takes the smaller rate", async () => {
  const { trainer: made, outputDir } = await trainer({ maxSteps: 1 }, {}, { peftConfig: { fullFinetuning: true } });
  const { events } = await record(made.train());
  expect(ofType(events, "step")[0]?.learningRate).toBe(2e-5);
  expect(await readdir(join(outputDir, "adapter"))).toEqual(["model.safetensors"]);
  expect(await readdir(join(outputDir, "checkpoint-1"))).toContain("model.safetensors");
});

test("what the data lost is said before the first step", async () => {
  const rows = [...conversations(4), ...conversations(1)];
  const { trainer: made } = await trainer(
    { maxLength: 14, maxSteps: 1 },
    {},
    { trainDataset: rows, evalDataset: null },
  );
  const { events } = await record(made.train());
  const messages = ofType(events, "warning").map(({ message }) => message);
  expect(messages).toEqual([
    "trainDataset: 3 of 5 rows are left out (lines 2, 3, 4): no trained token within maxLength 14 (the row has 21)",
    "trainDataset: 5 of 5 rows are longer than maxLength and were cut; 5 of them lost trained tokens",
    "trainDataset: exact duplicates of earlier rows: 1 of 5",
  ]);
  expect(events.findIndex((event) => event.type === "step")).toBeGreaterThan(
    events.findLastIndex((event) => event.type === "warning"),
  );
});

test("rows are never longer than the model's context", async () => {
  const { trainer: made, outputDir } = await trainer({ maxLength: 9999, maxSteps: 1 });
  const { events } = await record(made.train());
  expect(ofType(events, "warning")[0]?.message).toContain("beyond the model's context of 512 tokens");
  expect((await readRunConfig(outputDir)).args).toMatchObject({ maxLength: 512 });
});

test("own prompts are answered, and a missing prompt is said", async () => {
  const own = await trainer({ maxSteps: 2, sampleEverySteps: 2, samplePrompts: ["say abc"], sampleMaxNewTokens: 5 });
  const [sample] = ofType((await record(own.trainer.train())).events, "sample");
  expect(sample).toMatchObject({ step: 2, prompt: "say abc", reference: null });
  expect(sample?.completion.length).toBeLessThanOrEqual(5);
  const none = await trainer({ maxSteps: 1, sampleEverySteps: 1 }, {}, { evalDataset: null });
  expect(ofType((await record(none.trainer.train())).events, "warning")[0]?.message).toMatch(/there is no prompt/);
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
