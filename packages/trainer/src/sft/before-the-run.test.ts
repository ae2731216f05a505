import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ArgumentError, DataError, FileSystemError, OptionError, TunesmithError } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { readRunConfig } from "../index.ts";
import { plan } from "../testing/memory-plan.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";
import { trainer } from "../testing/sft-trainer.ts";

/** The error that something ends with. */
const failure = (work: PromiseLike<unknown>) =>
  Promise.resolve(work).then(
    () => null,
    (error: unknown) => error,
  );

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
  await expect(bad.trainer.train()).rejects.toThrow(
    /decoded: .*, answers looked for between \{% generation %\} and \{% endgeneration %\} of the chat template; check/u,
  );
  expect(await readdir(folder)).toEqual([]);

  const file = join(folder, "file");
  await writeFile(file, "");
  const unwritable = await trainer({ outputDir: join(file, "run") }, fake);
  await expect(unwritable.trainer.train()).rejects.toThrow(FileSystemError);
  expect(calls).toEqual([]);
});

test("a dry run goes as far as a run does before it makes its folder, and says the same", async () => {
  const calls: string[] = [];
  const fake = { onCall: (name: string) => calls.push(name), modelWarnings: ["a tensor that nothing uses"] };
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
  expect(warnings[0]).toBe("a tensor that nothing uses");
  expect(warnings[1]).toContain("beyond the model's context");
  expect(decided).toMatchObject({ outputDir, maxLength: 512, learningRate: 2e-4, gradientCheckpointing: false });
  expect(memory?.pass.longest).toBeGreaterThan(10);

  const bad = [
    // The answer begins beyond the model's context: nothing is left to train on.
    { rows: [{ prompt: "a".repeat(600), completion: "b" }], args, fake: {} },
    { rows: conversations(3), args: { ...args, warmupSteps: 1.5 }, fake: {} },
    { rows: conversations(3), args, fake: { plan: { ...plan, peak: 2 ** 60, free: 2 ** 30 } } },
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

test("a dry run shows the first batch, what is trained and what the disk needs", async () => {
  const rows = [
    { prompt: "ab", completion: "cde" },
    { prompt: "a", completion: "b" },
    { prompt: "a".repeat(40), completion: "b" },
  ];
  const ordered = { trainSamplingStrategy: "sequential", perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 2 };
  const args = { ...ordered, saveSteps: 1, saveTotalLimit: null, maxSteps: 3 };
  const fake = { plan: { ...plan, trained: 100, optimizer: 200, totalParameters: 1000, trainableParameters: 250 } };
  const dry = async (more: object, trainDataset = rows) => {
    const made = await trainer({ ...args, ...more }, fake, { trainDataset, evalDataset: null });
    return made.trainer.dryRun();
  };
  const { firstBatch, parameters, disk, chatTemplateSha256 } = await dry({ memoryCheck: "off" });
  expect(firstBatch).toEqual({
    ...{ count: 2, tokens: 9, trainedTokens: 6 },
    rows: [
      { place: "trainDataset:1", tokens: 6, trainedTokens: 4, start: "abcde<131>" },
      { place: "trainDataset:2", tokens: 3, trainedTokens: 2, start: "ab<131>" },
    ],
  });
  expect(parameters).toEqual({ trainable: 250, total: 1000, share: 0.25 });
  const small = 4 * 2 ** 20;
  expect(disk).toMatchObject({ checkpoints: 3, checkpointBytes: 300, needed: 3 * 300 + 100 + small });
  expect(disk.free).toBeGreaterThan(0);
  expect(chatTemplateSha256).toBe("00");
  // Of a long row the start alone, of many rows the first.
  const all = (await dry({ perDeviceTrainBatchSize: 9 }, [...rows, ...rows, ...rows])).firstBatch;
  expect([all?.count, all?.rows.length]).toEqual([9, 8]);
  expect(all?.rows[2]?.start).toBe("a".repeat(32));
  expect((await dry({ packing: true })).firstBatch?.rows[0]?.place).toMatch(/^trainDataset:\d$/u);
  expect((await dry({ streaming: true })).firstBatch?.rows[0]).toMatchObject({ tokens: 6, trainedTokens: 4 });
});

test("the digest of the chat template is told and kept", async () => {
  const { trainer: made, outputDir } = await trainer({ maxSteps: 1 });
  const { events } = await record(made.train());
  expect(ofType(events, "prepared")[0]?.chatTemplateSha256).toBe("00");
  const json = async (name: string) => JSON.parse(await readFile(join(outputDir, name), "utf8"));
  expect((await json("report.json")).chatTemplateSha256).toBe("00");
  expect((await json("env.json")).model.chatTemplateSha256).toBe("00");
  expect(await readFile(join(outputDir, "report.html"), "utf8")).toContain("<tr><th>chat template<td>00");
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
    "trainDataset: 5 of 5 rows are longer than maxLength and were cut by 32 tokens; 5 of them lost 23 trained tokens",
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
  // The default of 1024 was not asked for.
  const { warnings, args } = await (await trainer({ maxSteps: 1 })).trainer.dryRun();
  expect([warnings.filter((warning) => warning.includes("context")), args.maxLength]).toEqual([[], 512]);
});
