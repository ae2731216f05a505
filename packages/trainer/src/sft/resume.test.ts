import { appendFile, cp, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  AbortError,
  CheckpointError,
  digestFile,
  fileOperations,
  OptionError,
  type SessionOptions,
  type SFTConfig,
} from "@tunesmith/core";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { tried } from "../../../core/src/testing/trials.ts";
import { SFTTrainer, type TrainEvent } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";

// Whole runs with all their syncing; a busy disk takes its time.
vi.setConfig({ testTimeout: 120_000 });

afterEach(() => {
  fileOperations.before = null;
});

/** Options under which everything that must survive a stop takes part: epochs of 4 steps, logs, evaluations and samples out of step. */
const args: SFTConfig = {
  maxLength: 512,
  maxSteps: 12,
  perDeviceTrainBatchSize: 2,
  gradientAccumulationSteps: 2,
  loggingSteps: 3,
  evalSteps: 4,
  evalOnStart: true,
  saveSteps: 5,
  sampleEverySteps: 6,
  warmupSteps: 3,
  lrSchedulerType: "cosine",
  trainSamplingStrategy: "staged",
  stages: [{ maxLength: 22, order: "easy_first" }, {}],
};

function trainer(outputDir: string, more: object = {}, onEvent: (event: TrainEvent) => void = () => {}): SFTTrainer {
  return new SFTTrainer({
    model: fakeModel(),
    trainDataset: conversations(14),
    evalDataset: conversations(5),
    args: { ...args, outputDir, ...more },
    callbacks: [onEvent],
  });
}

/** What two equal runs must have in common, byte for byte. */
async function outcome(runDir: string) {
  const read = (name: string) => readFile(join(runDir, name));
  const { steps, lossHash, tokens, eval: evaluations, trainLoss } = JSON.parse((await read("report.json")).toString());
  return {
    adapter: await digestFile(join(runDir, "adapter/adapter_model.safetensors")),
    optimizer: await digestFile(join(runDir, `checkpoint-${steps}/optimizer.safetensors`)),
    metrics: (await read("metrics.jsonl")).toString(),
    samples: (await read("samples.jsonl")).toString(),
    report: { lossHash, tokens, evaluations, trainLoss },
  };
}

async function wholeRun() {
  const outputDir = await scratchFolder(onTestFinished);
  await trainer(outputDir).train();
  return outcome(outputDir);
}

test("stopping after any step and going on gives the run that was never stopped, to the byte", async () => {
  const whole = await wholeRun();
  for (let stop = 1; stop < 12; stop += 1) {
    const outputDir = await scratchFolder(onTestFinished);
    const controller = new AbortController();
    const first = trainer(outputDir, { saveStrategy: "end" }, (event) => {
      if (event.type === "step" && event.step === stop) controller.abort();
    });
    await expect(first.train({ signal: controller.signal })).rejects.toThrow(
      `[train] stopped as asked after step ${stop} of 12; continue with: train({ resumeFromCheckpoint: true }) of a trainer with the same rows`,
    );
    expect(await readdir(outputDir)).toContain(`checkpoint-${stop}`);
    await trainer(outputDir, { saveStrategy: "end" }).train({ resumeFromCheckpoint: true });
    expect(await outcome(outputDir)).toEqual(whole);
  }
});

test("a stop in the middle of an evaluation or of samples is resumed right there", async () => {
  const whole = await wholeRun();
  for (const name of ["evaluate", "generate"]) {
    const outputDir = await scratchFolder(onTestFinished);
    const controller = new AbortController();
    let evaluations = 0;
    const onCall = (call: string) => {
      // With a budget of one token per pass an evaluation is several calls: the seventh is within the second one.
      if (call === name && (name === "generate" || ++evaluations === 7)) controller.abort();
    };
    const stopped = new SFTTrainer({
      model: fakeModel({ onCall }),
      trainDataset: conversations(14),
      evalDataset: conversations(5),
      args: { ...args, tokenBudget: 1, outputDir },
    });
    await expect(stopped.train({ signal: controller.signal })).rejects.toThrow(AbortError);
    await trainer(outputDir, { tokenBudget: 1 }).train({ resumeFromCheckpoint: true });
    expect(await outcome(outputDir)).toEqual(whole);
  }
});

test("a crash at any file operation leaves a run that goes on to the same end", async () => {
  const short = {
    maxSteps: 2,
    trainSamplingStrategy: "random",
    stages: null,
    saveSteps: 1,
    evalStrategy: "no",
    evalSteps: null,
    evalOnStart: false,
    sampleEverySteps: null,
    saveTotalLimit: 1,
    warmupSteps: 0,
  };
  const whole = await scratchFolder(onTestFinished);
  await trainer(whole, short).train();
  let operation = 0;
  for (let crash = 0; ; crash += 1) {
    const outputDir = await scratchFolder(onTestFinished);
    operation = 0;
    fileOperations.before = () => {
      if (operation++ === crash) throw new Error("power cut");
    };
    const { error } = await record(trainer(outputDir, short).train());
    fileOperations.before = null;
    if (error === null) break;
    expect(error.message).toContain("power cut");
    const names = await readdir(outputDir);
    const resumeFromCheckpoint = names.includes("config.resolved.yaml");
    const hasCheckpoint = names.some((name) => name.startsWith("checkpoint-"));
    const { events, error: later } = await record(trainer(outputDir, short).train({ resumeFromCheckpoint }));
    expect(later).toBeNull();
    const said = ofType(events, "warning").map(({ message }) => message);
    const expected = [
      ...(resumeFromCheckpoint && !hasCheckpoint ? ["begins from the start"] : []),
      // The crash came after the last step: only the result is written again.
      ...(names.includes("checkpoint-2") ? ["this run is finished"] : []),
    ];
    expect(said).toEqual(expected.map((words) => expect.stringContaining(words)));
    expect(await outcome(outputDir)).toEqual(await outcome(whole));
    expect((await readdir(outputDir)).sort()).toEqual((await readdir(whole)).sort());
  }
  expect(operation).toBeGreaterThan(50);
  tried(operation);
});

test("a damaged checkpoint is named and the one before it is taken", async () => {
  const whole = await wholeRun();
  const original = await scratchFolder(onTestFinished);
  await record(
    trainer(original, { saveSteps: 5 }, (event) => {
      if (event.type === "step" && event.step === 7) throw new Error("stop");
    }).train(),
  );
  const damages: [RegExp, (checkpoint: string) => Promise<void>][] = [
    [/bytes in optimizer\.safetensors/, (path) => truncate(join(path, "optimizer.safetensors"), 100)],
    [/SHA-256 .* for adapter_model\.safetensors/, (path) => flipBit(join(path, "adapter_model.safetensors"))],
    [/SHA-256 .* for trainer_state\.json/, (path) => flipBit(join(path, "trainer_state.json"))],
    [/the file data_state\.json/, (path) => rm(join(path, "data_state.json"))],
    [/a readable MANIFEST\.json/, (path) => rm(join(path, "MANIFEST.json"))],
    [/a readable MANIFEST\.json/, (path) => writeFile(join(path, "MANIFEST.json"), "{")],
    [/trainer_state\.json in MANIFEST\.json/, (path) => writeFile(join(path, "MANIFEST.json"), '{"files":{}}')],
    [
      /a plain file name/,
      (path) => writeFile(join(path, "MANIFEST.json"), '{"files":{"../x":{"size":0,"sha256":""}}}'),
    ],
  ];
  for (const [message, damage] of damages) {
    const outputDir = await scratchFolder(onTestFinished);
    await cp(original, outputDir, { recursive: true });
    await damage(join(outputDir, "checkpoint-7"));
    const { events, error } = await record(trainer(outputDir).train({ resumeFromCheckpoint: true }));
    expect(error).toBeNull();
    expect(ofType(events, "warning").map((event) => event.message)).toEqual([expect.stringMatching(message)]);
    expect(ofType(events, "warning")[0]?.message).toContain(join(outputDir, "checkpoint-7"));
    expect(ofType(events, "prepared")[0]?.step).toBe(5);
    expect(await outcome(outputDir)).toEqual(whole);
  }
});

async function flipBit(path: string): Promise<void> {
  const bytes = await readFile(path);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] as number) ^ 1;
  await writeFile(path, bytes);
}

test("lines written after the checkpoint are not written twice", async () => {
  const whole = await wholeRun();
  const outputDir = await scratchFolder(onTestFinished);
  await trainer(outputDir).train();
  for (const name of ["checkpoint-12", "checkpoint-10", "adapter", "report.json"])
    await rm(join(outputDir, name), { recursive: true });
  await appendFile(join(outputDir, "metrics.jsonl"), '{"step":13,"lo');
  await trainer(outputDir).train({ resumeFromCheckpoint: true });
  expect(await outcome(outputDir)).toEqual(whole);
});

test("a given checkpoint is taken as it is; a damaged one is an error", async () => {
  const whole = await wholeRun();
  const outputDir = await scratchFolder(onTestFinished);
  await trainer(outputDir).train();
  await trainer(outputDir).train({ resumeFromCheckpoint: join(outputDir, "checkpoint-10") });
  expect(await outcome(outputDir)).toEqual(whole);
  await flipBit(join(outputDir, "checkpoint-10", "optimizer.safetensors"));
  await expect(trainer(outputDir).train({ resumeFromCheckpoint: join(outputDir, "checkpoint-10") })).rejects.toThrow(
    CheckpointError,
  );
});

test("a moved run folder goes on, and a finished run is finished again", async () => {
  const whole = await wholeRun();
  const parent = await scratchFolder(onTestFinished);
  await trainer(join(parent, "a")).train();
  await rename(join(parent, "a"), join(parent, "b"));
  const result = await trainer(join(parent, "b")).train({ resumeFromCheckpoint: true });
  expect(result.globalStep).toBe(12);
  expect(await outcome(join(parent, "b"))).toEqual(whole);
});

test("recomputation under auto is decided once: what a checkpoint says stands, whatever is free later", async () => {
  const plan = (bytes: number) => {
    const parts = { weights: 0, trained: 0, gradients: 0, optimizer: 0, activations: bytes, peak: bytes, loading: 0 };
    return { ...parts, totalParameters: 1, trainableParameters: 1, device: "cuda", free: 2 ** 30 };
  };
  const start = (outputDir: string, bytes: number, resumeFromCheckpoint: boolean) => {
    const sessions: boolean[] = [];
    const model = fakeModel({ plan: plan(bytes), checkpointedPlan: plan(0) });
    const watched = {
      ...model,
      createSession: (options: SessionOptions) => {
        sessions.push(options.gradientCheckpointing);
        return model.createSession(options);
      },
    };
    const more = { maxSteps: 2, gradientCheckpointing: "auto", outputDir } as const;
    const run = new SFTTrainer({ model: watched, trainDataset: conversations(14), args: more });
    return record(run.train({ resumeFromCheckpoint })).then(({ events, error }) => ({ events, error, sessions }));
  };
  const [tight, roomy] = [await scratchFolder(onTestFinished), await scratchFolder(onTestFinished)];
  const first = await start(tight, 2 ** 30, false);
  expect(first).toMatchObject({ error: null, sessions: [true] });
  expect(ofType(first.events, "warning").map(({ message }) => message)).toContainEqual(
    expect.stringContaining("gradientCheckpointing auto: layers are computed again"),
  );
  expect(await start(tight, 0, true)).toMatchObject({ error: null, sessions: [true] });
  expect(await start(roomy, 0, false)).toMatchObject({ error: null, sessions: [false] });
  // What no longer fits is refused, not computed in another way.
  expect((await start(roomy, 2 ** 30, true)).error).toMatchObject({ code: "OUT_OF_MEMORY" });
});

test("options that decide the steps may not change, others may", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  await trainer(outputDir).train();
  const resume = (more: object) => trainer(outputDir, more).train({ resumeFromCheckpoint: true });
  await expect(resume({ learningRate: 1, seed: 1 })).rejects.toThrow(
    /seed \(was 3407, is 1\), learningRate \(was 0\.0002, is 1\)/,
  );
  await expect(resume({ learningRate: 1 })).rejects.toThrow(CheckpointError);
  await expect(resume({ maxSteps: 11 })).rejects.toThrow(/maxSteps \(was 12, is 11\)/);
  await expect(
    new SFTTrainer({
      model: fakeModel(),
      trainDataset: conversations(13),
      evalDataset: conversations(5),
      args: { ...args, outputDir },
    }).train({ resumeFromCheckpoint: true }),
  ).rejects.toThrow(/the training data/);
  await expect(
    new SFTTrainer({
      model: fakeModel(),
      trainDataset: conversations(14),
      peftConfig: { r: 3 },
      args: { ...args, evalSteps: null, outputDir },
    }).train({ resumeFromCheckpoint: true }),
  ).rejects.toThrow(/: r \(was 16, is 3\)/);
  await resume({ saveSteps: 7, loggingSteps: 1, perDeviceEvalBatchSize: 1 });
});

test("with a rate that does not depend on the length, a run can be made longer: 10 + 10 steps are 20", async () => {
  const constant = {
    maxSteps: 20,
    lrSchedulerType: "constant",
    warmupSteps: 0,
    evalStrategy: "no",
    sampleEverySteps: null,
    loggingSteps: 1,
    evalOnStart: false,
  };
  const whole = await scratchFolder(onTestFinished);
  await trainer(whole, constant).train();
  const outputDir = await scratchFolder(onTestFinished);
  await trainer(outputDir, { ...constant, maxSteps: 10 }).train();
  await trainer(outputDir, constant).train({ resumeFromCheckpoint: true });
  expect(await outcome(outputDir)).toEqual(await outcome(whole));
});

test("early stopping goes on counting after a resume", async () => {
  const stopping = { evalSteps: 1, earlyStoppingPatience: 3, saveSteps: 1, tokenBudget: 100_000 };
  const outputDir = await scratchFolder(onTestFinished);
  const make = (evalLosses: number[], onEvent?: (event: TrainEvent) => void) =>
    new SFTTrainer({
      model: fakeModel({ evalLosses }),
      trainDataset: conversations(14),
      evalDataset: conversations(5),
      args: { ...args, ...stopping, outputDir },
      callbacks: onEvent === undefined ? [] : [onEvent],
    });
  const controller = new AbortController();
  const first = make([9, 4, 5, 5], (event) => {
    if (event.type === "checkpoint" && event.step === 3) controller.abort();
  });
  await expect(first.train({ signal: controller.signal })).rejects.toThrow(AbortError);
  const result = await make([5, 1]).train({ resumeFromCheckpoint: true });
  expect(result).toMatchObject({ stoppedBy: "early_stopping", globalStep: 4 });
  expect(await make([1]).train({ resumeFromCheckpoint: true })).toMatchObject({
    stoppedBy: "early_stopping",
    globalStep: 4,
  });
});

test("a stop before the first step saves nothing and leaves the folder free", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  await expect(trainer(outputDir).train({ signal: AbortSignal.abort() })).rejects.toThrow(AbortError);
  const controller = new AbortController();
  const atStart = trainer(outputDir, {}, (event) => {
    if (event.type === "eval") controller.abort();
  });
  await expect(atStart.train({ signal: controller.signal })).rejects.toThrow(
    /after step 0 of 12; nothing has been trained/,
  );
  await trainer(outputDir).train();
  expect(await outcome(outputDir)).toEqual(await wholeRun());
});

test("a run that was stopped before its first checkpoint begins from the start, and a finished one does not", async () => {
  const late = { saveSteps: 100 };
  const whole = await scratchFolder(onTestFinished);
  await trainer(whole, late).train();
  const outputDir = await scratchFolder(onTestFinished);
  // As after a kill: nothing is saved at the end.
  const killed = new SFTTrainer({
    model: fakeModel({
      onCall: (name) => {
        if (name === "saveCheckpoint") throw new Error("killed");
      },
    }),
    trainDataset: conversations(14),
    evalDataset: conversations(5),
    args: { ...args, ...late, outputDir },
    callbacks: [
      (event) => {
        if (event.type === "step" && event.step === 7) throw new Error("killed");
      },
    ],
  });
  await expect(killed.train()).rejects.toThrow("killed");
  await expect(trainer(outputDir, late).train()).rejects.toThrow(
    "continue it with: train({ resumeFromCheckpoint: true })",
  );
  const { events, error } = await record(trainer(outputDir, late).train({ resumeFromCheckpoint: true }));
  expect(error).toBeNull();
  expect(ofType(events, "warning")[0]?.message).toMatch(/stopped before its first checkpoint, so it begins from the/);
  expect(await outcome(outputDir)).toEqual(await outcome(whole));

  const unsaved = await scratchFolder(onTestFinished);
  await trainer(unsaved, { saveStrategy: "no" }).train();
  const again = trainer(unsaved, { saveStrategy: "no" }).train({ resumeFromCheckpoint: true });
  await expect(again).rejects.toThrow(/got a finished one that keeps no checkpoint/);
});

test("there must be something to resume from", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  await expect(trainer(outputDir).train({ resumeFromCheckpoint: true })).rejects.toThrow(CheckpointError);
  const nowhere = new SFTTrainer({ model: fakeModel(), trainDataset: conversations(3) });
  await expect(nowhere.train({ resumeFromCheckpoint: true })).rejects.toThrow(OptionError);
});

test("a run that goes on with another library for its products says so, and nothing where it is the same", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const run = async (maxSteps: number, matmulLibrary?: string) => {
    const model = fakeModel(matmulLibrary === undefined ? {} : { matmulLibrary });
    const made = new SFTTrainer({
      model,
      trainDataset: conversations(14),
      args: { maxSteps, saveSteps: 1, outputDir },
    });
    const { events } = await record(made.train({ resumeFromCheckpoint: maxSteps > 1 }));
    return ofType(events, "warning")
      .map(({ message }) => message)
      .filter((text) => /same bits/u.test(text));
  };
  expect(await run(1, "cuBLASLt 13.2.1")).toEqual([]);
  expect(await run(2, "cuBLASLt 13.2.1")).toEqual([]);
  expect(await run(3)).toEqual([expect.stringContaining("fake (cuBLASLt 13.2.1) and goes on with fake (own kernels)")]);
  expect(await run(4)).toEqual([]);
});
