import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { OptionError } from "@tunesmith/core";
import { type DatasetSource, mixDatasets, NamedFiles } from "@tunesmith/data";
import { expect, onTestFinished, test } from "vitest";
import { readRunConfig, SFTTrainer } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { lines } from "../testing/lines.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";
import { trainer } from "../testing/sft-trainer.ts";

test("the run folder holds everything that was promised", async () => {
  const { trainer: made, outputDir } = await trainer({
    saveSteps: 4,
    evalSteps: 3,
    evalOnStart: true,
    sampleEverySteps: 3,
  });
  const result = await made.train();
  const files = "config.resolved.yaml env.json metrics.jsonl report.html report.json samples.jsonl".split(" ");
  expect((await readdir(outputDir)).sort()).toEqual(["adapter", "checkpoint-4", "checkpoint-6", ...files]);
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
  expect(await lines(join(outputDir, "samples.jsonl"))).toHaveLength(9);
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
    trainDataset: config.data as string,
    evalDataset: config.evalData as string,
    args: { ...config.args, outputDir: join(folder, "again") },
    peftConfig: config.peftConfig,
  });
  expect((await again.train()).lossHash).toBe(result.lossHash);
});

test("a function that rows go through is named in the run's configuration", async () => {
  const formattingFunc = async ({ messages }: Readonly<Record<string, unknown>>) => ({ messages });
  const { trainer: made, outputDir } = await trainer({ maxSteps: 1 }, {}, { formattingFunc });
  const { evalData } = await made.train();
  expect(evalData?.kept).toBe(5);
  expect((await readRunConfig(outputDir)).fromProgram).toEqual(["formattingFunc"]);
  const plain = await trainer({ maxSteps: 1 });
  await plain.trainer.train();
  expect((await readRunConfig(plain.outputDir)).fromProgram).toEqual([]);
  const failing = () => {
    throw new Error("not today");
  };
  const { trainer: other } = await trainer({ maxSteps: 1 }, {}, { formattingFunc: failing });
  await expect(other.train()).rejects.toThrow(/trainDataset:1: expected formattingFunc .* got Error: not today/u);
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

test("lists, mixes and splits of files are in the configuration as they were given", async () => {
  const folder = await scratchFolder(onTestFinished);
  const paths = [join(folder, "a.jsonl"), join(folder, "b.jsonl")] as const;
  const rows = conversations(12).map((row) => JSON.stringify(row));
  for (const path of paths) await writeFile(path, rows.join("\n"));
  const [a, b] = paths;
  const mix = mixDatasets([
    { dataset: a, weight: 3 },
    { dataset: new NamedFiles("org/x", [b], { path: "org/x", revision: "c".repeat(40) }) },
  ]);
  const given: [DatasetSource, unknown][] = [
    [
      [a, b],
      [a, b],
    ],
    [relative(process.cwd(), a), a],
    [
      mix,
      [
        { path: a, weight: 3 },
        { path: "org/x", revision: "c".repeat(40), weight: 1 },
      ],
    ],
  ];
  for (const [trainDataset, data] of given) {
    const args = { maxSteps: 2, testSize: 0.25, splitStrategy: "hash" } as const;
    const { trainer: one, outputDir } = await trainer(args, {}, { trainDataset, evalDataset: null });
    await one.train();
    expect(await readRunConfig(outputDir)).toMatchObject({ data, evalData: null, args: { testSize: 0.25 } });
  }
  await expect(trainer({ testSize: 0.1 }, {}, { trainDataset: a, evalDataset: b })).rejects.toThrow(
    /testSize.*leave one out/u,
  );
});
