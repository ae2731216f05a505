import { createReadStream } from "node:fs";
import { appendFile, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { CheckpointError, DataError, digestFile, OptionError, type SFTConfig } from "@tunesmith/core";
import { type DatasetSource, mixDatasets, splitDataset } from "@tunesmith/data";
import { expect, onTestFinished, test, vi } from "vitest";
import { SFTTrainer, type SFTTrainerOptions, type TrainEvent } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";

// Whole runs with all their syncing; a busy disk takes its time.
vi.setConfig({ testTimeout: 120_000 });

/** Passes of 4 steps, the last of them smaller; logs, evaluations and checkpoints out of step. */
const args: SFTConfig = {
  streaming: true,
  bufferSize: 5,
  maxSteps: 10,
  maxLength: 512,
  perDeviceTrainBatchSize: 2,
  gradientAccumulationSteps: 2,
  loggingSteps: 3,
  evalSteps: 4,
  saveSteps: 100,
};

function trainer(
  outputDir: string,
  trainDataset: DatasetSource,
  {
    more = {},
    onEvent = () => {},
    ...others
  }: Partial<SFTTrainerOptions> & { more?: SFTConfig; onEvent?: (event: TrainEvent) => void | Promise<void> } = {},
): SFTTrainer {
  const callbacks = [onEvent];
  return new SFTTrainer({
    model: fakeModel(),
    trainDataset,
    callbacks,
    ...others,
    args: { ...args, outputDir, ...more },
  });
}

async function rowsFile(rows: readonly object[]): Promise<string> {
  const path = join(await scratchFolder(onTestFinished), "rows.jsonl");
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  return path;
}

/** What two equal runs must have in common, byte for byte. */
async function outcome(runDir: string) {
  const { lossHash, tokens, rows, epochs } = JSON.parse(await readFile(join(runDir, "report.json"), "utf8"));
  return {
    adapter: await digestFile(join(runDir, "adapter/adapter_model.safetensors")),
    metrics: await readFile(join(runDir, "metrics.jsonl"), "utf8"),
    ...{ lossHash, tokens, rows, epochs },
  };
}

async function finished(dataset: DatasetSource, more: SFTConfig = {}) {
  const outputDir = await scratchFolder(onTestFinished);
  const result = await trainer(outputDir, dataset, { more, evalDataset: conversations(3) }).train();
  return { result, outcome: await outcome(outputDir) };
}

const plain = { maxSteps: 10, bufferSize: 5 };
const sources: [string, () => Promise<DatasetSource>, SFTConfig][] = [
  ["a file", () => rowsFile(conversations(14)), plain],
  [
    "rows, evaluated and saved by epoch",
    async () => conversations(14),
    { evalStrategy: "epoch", evalSteps: null, saveStrategy: "epoch" },
  ],
  ["a generator function", async () => () => conversations(14).values(), plain],
  [
    "a mix",
    async () => mixDatasets([{ dataset: conversations(9) }, { dataset: conversations(30).slice(9), weight: 2 }]),
    plain,
  ],
  [
    "one side of a split",
    async () => splitDataset(conversations(40), { testSize: 0.5, splitStrategy: "hash" }).train,
    plain,
  ],
  ["in the order of the rows", async () => conversations(14), { trainSamplingStrategy: "sequential" }],
  ["packed", async () => conversations(60), { packing: true, maxLength: 60 }],
  ["packed, cut anywhere", async () => conversations(60), { packing: true, maxLength: 60, packingStrategy: "wrapped" }],
];

test.each(sources)(
  "stopping after any step and going on gives the run that was never stopped: %s",
  async (name, make, more) => {
    const dataset = await make();
    const whole = await finished(dataset, more);
    expect(whole.result.metrics.epoch).toBeGreaterThanOrEqual(1);
    // In the middle of a pass, at its end, after its first step; at every step where it costs least.
    const stops = name === "a file" || name === "packed" ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : [3, 4, 5];
    for (const stop of stops) {
      const outputDir = await scratchFolder(onTestFinished);
      const controller = new AbortController();
      const onEvent = (event: TrainEvent) => {
        if (event.type === "step" && event.step === stop) controller.abort();
      };
      const first = trainer(outputDir, dataset, { more, onEvent, evalDataset: conversations(3) });
      await expect(first.train({ signal: controller.signal })).rejects.toThrow(
        `stopped as asked after step ${stop} of 10`,
      );
      const again = trainer(outputDir, dataset, { more, evalDataset: conversations(3) });
      await again.train({ resumeFromCheckpoint: true });
      expect(await outcome(outputDir)).toEqual(whole.outcome);
    }
  },
);

/** A collator that notes which rows come, and a run with it. */
async function rowsOfRun(dataset: DatasetSource, more: SFTConfig): Promise<number[][]> {
  const { collate } = await import("@tunesmith/data");
  const steps: number[][] = [[]];
  const options = {
    more: { saveStrategy: "no", evalStrategy: "no", evalSteps: null, ...more } as SFTConfig,
    dataCollator: (sequences: Parameters<typeof collate>[0]) => {
      steps.at(-1)?.push(...sequences.map(({ example }) => example.rowId));
      return collate(sequences);
    },
    onEvent: (event: TrainEvent) => {
      if (event.type === "step") steps.push([]);
    },
  };
  await trainer(await scratchFolder(onTestFinished), dataset, options).train();
  return steps.slice(0, -1);
}

test("every row comes once a pass, in another order each pass, and the same in each run", async () => {
  const steps = await rowsOfRun(conversations(14), { maxSteps: 8 });
  expect(steps.map(({ length }) => length)).toEqual([4, 4, 4, 2, 4, 4, 4, 2]);
  const [first, second] = [steps.slice(0, 4).flat(), steps.slice(4).flat()];
  const all = Array.from({ length: 14 }, (_, n) => n);
  for (const order of [first, second]) expect(order.toSorted((a, b) => a - b)).toEqual(all);
  expect([second, first]).not.toContainEqual(all);
  expect(second).not.toEqual(first);
  expect(await rowsOfRun(await rowsFile(conversations(14)), { maxSteps: 8 })).toEqual(steps);
  expect((await rowsOfRun(conversations(14), { maxSteps: 4, trainSamplingStrategy: "sequential" })).flat()).toEqual(
    all,
  );
});

test("in the order of the rows a streamed run computes what one that is prepared whole does, packed or not", async () => {
  for (const more of [
    {},
    { packing: true, maxLength: 60 },
    { packing: true, maxLength: 60, packingStrategy: "bfd_split" },
  ] as SFTConfig[]) {
    const order = { trainSamplingStrategy: "sequential", ...more } as const;
    const [streamed, whole] = [
      await finished(conversations(60), order),
      await finished(conversations(60), { ...order, streaming: false }),
    ];
    expect(streamed.result.lossHash).toBe(whole.result.lossHash);
    expect(streamed.result.data.packing?.strategy).toBe(whole.result.data.packing?.strategy);
  }
});

test("the first step is taken when the buffer is full, of rows that have no end, and the source is closed", async () => {
  for (const more of [
    { bufferSize: 1000 },
    { bufferSize: 300, packing: true, maxLength: 60 },
    { trainSamplingStrategy: "sequential" },
  ] as SFTConfig[]) {
    const [row] = conversations(1);
    let [read, isClosed] = [0, false];
    let atFirstStep = 0;
    async function* endless() {
      try {
        for (;;) {
          read += 1;
          yield { ...row, id: read };
        }
      } finally {
        isClosed = true;
      }
    }
    const outputDir = await scratchFolder(onTestFinished);
    const onEvent = (event: TrainEvent) => {
      if (event.type === "step" && event.step === 1) atFirstStep = read;
    };
    await trainer(outputDir, endless(), { more: { maxSteps: 2, ...more }, onEvent }).train();
    expect(atFirstStep).toBeGreaterThan(0);
    // Buffer, window of packing, and rows that are read and encoded ahead.
    expect(atFirstStep).toBeLessThanOrEqual((more.bufferSize ?? 0) + (more.packing ? 1000 : 0) + 6 * 256);
    expect(isClosed).toBe(true);
  }
});

test("no more rows are held than the buffer and what is read ahead, however many pass", async () => {
  const registry = { made: 0, freed: 0 };
  const freed = new FinalizationRegistry(() => {
    registry.freed += 1;
  });
  async function* endless() {
    for (;;) {
      registry.made += 1;
      const [row] = conversations(1);
      freed.register(row as object, null);
      yield row as object as Record<string, unknown>;
    }
  }
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  let most = 0;
  const onEvent = async (event: TrainEvent) => {
    if (event.type !== "step" || event.step % 100 !== 0) return;
    collect();
    await setImmediate();
    most = Math.max(most, registry.made - registry.freed);
  };
  await trainer(await scratchFolder(onTestFinished), endless(), {
    more: { maxSteps: 1000, bufferSize: 100, saveStrategy: "no" },
    onEvent,
  }).train();
  expect(registry.made).toBeGreaterThan(4000);
  expect(most).toBeLessThan(2500);
});

test("a bad row ends the run when it is met, saved, and once it is put right the run goes on", async () => {
  const rows: object[] = conversations(3000);
  const path = await rowsFile(rows.map((row, n) => (n === 2500 ? { messages: "none" } : row)));
  const more = { maxSteps: 700, bufferSize: 20, loggingSteps: 100, saveStrategy: "end", evalStrategy: "no" } as const;
  const outputDir = await scratchFolder(onTestFinished);
  const { events, error } = await record(trainer(outputDir, path, { more }).train());
  const steps = ofType(events, "step").length;
  expect(steps).toBeGreaterThan(200);
  expect(error).toBeInstanceOf(DataError);
  expect(error?.message).toContain(`${path}:2501: `);
  expect(error?.message).toContain(
    `the run is saved after step ${steps}, continue it with: tunesmith resume ${outputDir}`,
  );
  expect(await readdir(outputDir)).toContain(`checkpoint-${steps}`);
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  await trainer(outputDir, path, { more }).train({ resumeFromCheckpoint: true });
  const whole = await scratchFolder(onTestFinished);
  await trainer(whole, path, { more }).train();
  expect(await outcome(outputDir)).toEqual(await outcome(whole));
});

test("a bad row at the beginning is an error before anything is made", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const { error } = await record(trainer(join(outputDir, "run"), [{ messages: 5 }]).train());
  expect(error?.message).toMatch(/trainDataset:1: /u);
  expect(await readdir(outputDir)).toEqual([]);
});

test("what is found of the rows is said when they pass, again when it grows, and at the end of the pass", async () => {
  const rows = conversations(3000).map((row, n) => (n > 1500 && n % 100 === 0 ? { messages: "none" } : row));
  const more = {
    maxSteps: 760,
    bufferSize: 20,
    onBadRow: "skip",
    saveStrategy: "no",
    evalStrategy: "no",
    loggingSteps: 100,
  } as const;
  const { events, error } = await record(trainer(await scratchFolder(onTestFinished), rows, { more }).train());
  expect(error).toBeNull();
  const skipped = ofType(events, "warning").filter(({ message }) => message.includes("cannot be used"));
  expect(skipped.map(({ message }) => message.match(/(\d+) rows? cannot/u)?.[1])).toEqual([
    expect.stringMatching(/^[12]$/u),
    expect.stringMatching(/^1\d$/u),
  ]);
  expect(skipped[0]?.message).toContain("trainDataset:1601: ");
  expect(ofType(events, "done")[0]?.result.data).toMatchObject({
    streamed: true,
    rows: 2986,
    kept: 2986,
    skipped: { count: 14 },
  });
  // What is found before the first step is said before it; what was not at its end is said with the last step.
  const cut = await record(
    trainer(await scratchFolder(onTestFinished), conversations(3000), {
      more: { ...more, maxSteps: 3, maxLength: 6, assistantOnlyLoss: false },
    }).train(),
  );
  const truncated = ofType(cut.events, "warning").filter(({ message }) => message.includes("longer than maxLength"));
  expect(truncated.map(({ step }) => step)).toEqual([0, 3]);
});

test("a changed file is refused on resume where it was read, and not after that", async () => {
  const path = await rowsFile(conversations(60));
  const outputDir = await scratchFolder(onTestFinished);
  await trainer(outputDir, path).train();
  const resume = () =>
    trainer(outputDir, path, { more: { maxSteps: 12, weightDecay: 0.5 } }).train({
      resumeFromCheckpoint: true,
    });
  await expect(resume()).rejects.toThrow(/weightDecay/u);
  const constant = await scratchFolder(onTestFinished);
  const longer = (maxSteps: number, more: SFTConfig = {}) =>
    trainer(constant, path, { more: { maxSteps, lrSchedulerType: "constant", ...more } });
  await longer(10).train();
  await appendFile(path, `\n${JSON.stringify(conversations(1)[0])}`);
  await longer(12).train({ resumeFromCheckpoint: true });
  const text = await readFile(path, "utf8");
  await writeFile(path, text.replace("xyz", "xxz"));
  await expect(longer(14).train({ resumeFromCheckpoint: true })).rejects.toThrow(CheckpointError);
  await expect(longer(14).train({ resumeFromCheckpoint: true })).rejects.toThrow(/the training data has changed/u);
  await expect(longer(14, { bufferSize: 6 }).train({ resumeFromCheckpoint: true })).rejects.toThrow(
    /bufferSize \(was 5, is 6\)/u,
  );
  await expect(longer(14, { streaming: false }).train({ resumeFromCheckpoint: true })).rejects.toThrow(
    /streaming \(was true, is false\)/u,
  );
});

test("what gives its rows once has one pass: a second, or a resume with it, is an error that says so", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const generator = conversations(14).values();
  const { error, events } = await record(trainer(outputDir, generator, { more: { streaming: false } }).train());
  expect(ofType(events, "step").length).toBe(4);
  expect(error).toMatchObject({ code: "DATA_INVALID" });
  expect(error?.message).toMatch(
    /\[trainDataset\] expected rows that can be read again, got a generator or stream.*the run is saved after step 4/su,
  );
  await expect(trainer(outputDir, generator).train({ resumeFromCheckpoint: true })).rejects.toThrow(
    /expected rows that can be read again/u,
  );
  await trainer(outputDir, () => conversations(14).values()).train({ resumeFromCheckpoint: true });
  expect(await outcome(outputDir)).toEqual((await finishedWithoutEvaluation(conversations(14))).outcome);
});

async function finishedWithoutEvaluation(dataset: DatasetSource) {
  const outputDir = await scratchFolder(onTestFinished);
  await trainer(outputDir, dataset).train();
  return { outcome: await outcome(outputDir) };
}

test("it is told how far a resumed run is with the rows it has seen, and nothing beside the steps", async () => {
  const rows = conversations(3000);
  const outputDir = await scratchFolder(onTestFinished);
  const more = { bufferSize: 20, evalStrategy: "no", loggingSteps: 200, lrSchedulerType: "constant" } as const;
  // A clock that goes on by a second whenever it is looked at: every batch is told of.
  let now = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => {
    now += 1000;
    return now;
  });
  onTestFinished(() => clock.mockRestore());
  const first = await record(trainer(outputDir, rows, { more: { ...more, maxSteps: 600 } }).train());
  expect(first.error).toBeNull();
  const beforeSteps = first.events.findIndex(({ type }) => type === "prepared");
  expect(first.events.slice(beforeSteps).some(({ type }) => type === "preparing")).toBe(false);
  const again = trainer(outputDir, rows, { more: { ...more, maxSteps: 601 } });
  const { events } = await record(again.train({ resumeFromCheckpoint: true }));
  const told = ofType(events, "preparing").map((event) => event.rows);
  expect(told.at(-1)).toBeGreaterThan(2000);
  expect(told).toEqual(told.toSorted((a, b) => a - b));
});

test("a source that has no row for a while holds neither the end of a run nor its stop", async () => {
  async function* slow() {
    yield* conversations(300);
    await new Promise(() => {});
  }
  const more = { bufferSize: 5, saveStrategy: "no" } as const;
  const result = await trainer(await scratchFolder(onTestFinished), slow(), { more: { ...more, maxSteps: 2 } }).train();
  expect(result.globalStep).toBe(2);
  const controller = new AbortController();
  const onEvent = (event: TrainEvent) => {
    if (event.type === "prepared") controller.abort();
  };
  const stopped = trainer(await scratchFolder(onTestFinished), slow, { more: { ...more, maxSteps: 1000 }, onEvent });
  await expect(stopped.train({ signal: controller.signal })).rejects.toThrow(/stopped as asked/u);
  const early = new AbortController();
  const never = trainer("never", async function* () {
    await new Promise(() => {});
    yield {};
  }).train({ signal: early.signal });
  setTimeout(() => early.abort(), 20);
  await expect(never).rejects.toThrow(/stopped as asked before the first step/u);
});

test("rows of a step that is not finite are named by their places", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const model = fakeModel({ nonFiniteSteps: [2] });
  const { events } = await record(
    trainer(outputDir, conversations(14), { model, more: { trainSamplingStrategy: "sequential" } }).train(),
  );
  const said = ofType(events, "warning").map(({ message }) => message);
  expect(said).toContainEqual(expect.stringMatching(/^step 2: .* rows: trainDataset:5; not finite/u));
});

test("what needs all rows at once is refused by name", () => {
  const made =
    (more: SFTConfig, dataset: DatasetSource = conversations(3), others: Partial<SFTTrainerOptions> = {}) =>
    () =>
      trainer("never", dataset, { more, ...others });
  const refused: [RegExp, () => SFTTrainer][] = [
    [/\[maxSteps\] expected a number of steps/u, made({ maxSteps: -1 })],
    [/\[maxSteps\] expected a number of steps/u, made({ maxSteps: -1, streaming: false }, () => conversations(3))],
    [
      /\[maxSteps\] expected a number of steps/u,
      made({ maxSteps: -1, streaming: false }, ReadableStream.from(conversations(3))),
    ],
    [/\[packingStrategy\].*best_fit/u, made({ packing: true, packingStrategy: "best_fit" })],
    [/\[trainSamplingStrategy\].*staged/u, made({ trainSamplingStrategy: "staged" })],
    [/\[trainSamplingStrategy\].*group_by_length/u, made({ trainSamplingStrategy: "group_by_length" })],
    [/\[trainSamplingStrategy\].*competence/u, made({ trainSamplingStrategy: "competence" })],
    [/\[auto\]/u, made({ auto: true })],
    [/\[sampler\]/u, made({}, conversations(3), { sampler: () => ({ size: () => 1, epoch: () => [0] }) })],
    [/\[splitStrategy\].*random/u, made({ testSize: 0.5 })],
    [/\[splitStrategy\].*random/u, made({}, splitDataset(conversations(9), { testSize: 2 }).train)],
  ];
  for (const [message, make] of refused) {
    expect(make).toThrow(message);
    expect(make).toThrow(OptionError);
  }
  expect(made({ packingStrategy: "best_fit" })).not.toThrow();
  expect(made({ testSize: 0.5, splitStrategy: "hash" })).not.toThrow();
  expect(made({ maxSteps: -1, streaming: false })).not.toThrow();
});

test("rows are held out by their content while the others are streamed", async () => {
  const path = await rowsFile(conversations(60));
  const more = { testSize: 0.3, splitStrategy: "hash" } as const;
  const { events, error } = await record(
    trainer(await scratchFolder(onTestFinished), path, { more: { ...more, maxSteps: 40 } }).train(),
  );
  expect(error).toBeNull();
  const [done] = ofType(events, "done");
  const [train, held] = [done?.result.data.kept ?? 0, done?.result.evalData?.kept ?? 0];
  expect([train + held, held > 0, done?.result.data.streamed]).toEqual([60, true, true]);
});

test("the rows of a generator can be held out by their content, and an evaluation set may be a function", async () => {
  const more = { testSize: 0.3, splitStrategy: "hash", maxSteps: 40, saveStrategy: "no" } as const;
  const outputDir = await scratchFolder(onTestFinished);
  const result = await trainer(outputDir, conversations(60).values(), { more }).train();
  expect([result.data.kept + (result.evalData?.kept ?? 0), result.globalStep]).toEqual([60, 40]);
  const held = await trainer(await scratchFolder(onTestFinished), () => conversations(60), {
    evalDataset: () => conversations(5).values(),
  }).train();
  expect(held.evalData?.kept).toBe(5);
});

test("bytes of a file are streamed as its rows are", async () => {
  const path = await rowsFile(conversations(60));
  const more = { trainSamplingStrategy: "sequential", maxSteps: 5, saveStrategy: "no" } as const;
  const [file, bytes] = [path, () => createReadStream(path)].map(async (source) =>
    trainer(await scratchFolder(onTestFinished), source, { more }).train(),
  );
  expect((await bytes)?.lossHash).toBe((await file)?.lossHash);
});

test("a dry run knows the steps and the first rows, and lets go of the file", async () => {
  const {
    totalSteps,
    data,
    memory,
    args: settled,
  } = await trainer("never", await rowsFile(conversations(2000))).dryRun();
  expect([totalSteps, data.streamed, settled.streaming]).toEqual([10, true, true]);
  expect(data.rows).toBeGreaterThanOrEqual(5);
  expect(data.rows).toBeLessThan(2000);
  // Every row may be as long as maxLength.
  expect(memory?.pass).toMatchObject({ longest: 512, tokens: 1024 });
});
