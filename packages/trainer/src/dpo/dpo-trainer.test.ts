import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DataError, digestFile, OptionError } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { DPOTrainer, type DPOTrainerOptions, readRunConfig, SFTTrainer } from "../index.ts";
import { type FakeOptions, fakeModel } from "../testing/fake-session.ts";
import { lines } from "../testing/lines.ts";
import { ofType, record } from "../testing/record.ts";
import { scratchFolder } from "../testing/scratch.ts";

const pairs = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    prompt: `say ${"abcdefgh"[n % 8]}`,
    chosen: ` ${"xyz"[n % 3]}es please`.repeat(1 + (n % 2)),
    rejected: ` no${"nope"[n % 4]}`,
  }));

async function trainer(args: object = {}, fake: FakeOptions = {}, more: Partial<DPOTrainerOptions> = {}) {
  const outputDir = await scratchFolder(onTestFinished);
  const made = new DPOTrainer({
    model: fakeModel(fake),
    trainDataset: pairs(14),
    evalDataset: pairs(5),
    args: {
      ...{ outputDir, maxLength: 64, maxSteps: 6, perDeviceTrainBatchSize: 3, gradientAccumulationSteps: 2 },
      ...{ learningRate: 1e-3, warmupSteps: 0, loggingSteps: 1, evalSteps: 3, beta: 0.5, ...args },
    },
    ...more,
  });
  return { trainer: made, outputDir };
}

test("a run begins at ln 2 and widens the margin, and its metrics have TRL's names", async () => {
  const { trainer: made, outputDir } = await trainer();
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  const logs = ofType(events, "log");
  expect(logs[0]).toMatchObject({ loss: Math.LN2, "rewards/margins": 0, "rewards/accuracies": 0 });
  expect(logs.at(-1)?.["rewards/margins"]).toBeGreaterThan(0);
  expect(logs.at(-1)?.["rewards/accuracies"]).toBe(1);
  expect(logs.at(-1)?.loss).toBeLessThan(Math.LN2);
  const written = await lines(join(outputDir, "metrics.jsonl"));
  const names = "entropy mean_token_accuracy rewards/chosen rewards/rejected rewards/accuracies rewards/margins".split(
    " ",
  );
  const all = [...names, "logps/chosen", "logps/rejected", "logits/chosen", "logits/rejected"];
  const line = written.find((one) => "loss" in (one as object)) as Record<string, number>;
  for (const name of all) expect(line[name], name).toEqual(expect.any(Number));
  const evaluated = written.find((one) => "eval_loss" in (one as object)) as Record<string, number>;
  for (const name of all) expect(evaluated[`eval_${name}`], name).toEqual(expect.any(Number));
});

test("a resumed run is the run that was not stopped, to the bit", async () => {
  const args = { saveSteps: 3, lossType: ["sigmoid", "sft"], lossWeights: [1, 0.2] };
  const { trainer: whole, outputDir } = await trainer(args);
  const { lossHash } = await whole.train();
  const { trainer: again } = await trainer({ ...args, outputDir });
  const resumed = await again.train({ resumeFromCheckpoint: join(outputDir, "checkpoint-3") });
  expect(resumed.lossHash).toBe(lossHash);
  const other = await trainer(args);
  await other.trainer.train();
  const file = "adapter/adapter_model.safetensors";
  expect(await digestFile(join(outputDir, file))).toEqual(await digestFile(join(other.outputDir, file)));
});

test("however passes are cut, the steps are the same", async () => {
  const run = async (tokenBudget: number) => {
    const { events } = await record((await trainer({ tokenBudget, lossType: "aot" })).trainer.train());
    return ofType(events, "step").flatMap(({ loss, gradNorm }) => [loss, gradNorm]);
  };
  const joined = await run(4096);
  for (const tokenBudget of [1, 50]) {
    const cut = await run(tokenBudget);
    for (const [n, value] of joined.entries()) expect(cut[n]).toBeCloseTo(value, 5);
  }
});

test("the reference of a step and of an evaluation is the model with its adapter off", async () => {
  const calls: string[] = [];
  const { trainer: made } = await trainer({ maxSteps: 1, evalStrategy: "no" }, { onCall: (name) => calls.push(name) });
  await made.train();
  const first = calls.indexOf("disableAdapter");
  expect(calls.slice(first, first + 5)).toEqual(["disableAdapter", "logProbs", "enableAdapter", "forward", "backward"]);
});

test.each<[string, object, object, RegExp]>([
  [
    "an adapter besides all weights",
    {},
    { fullFinetuning: true, adapterPath: "here" },
    /\[adapterPath\] expected no adapter with fullFinetuning/u,
  ],
  [
    "exo_pair without smoothing",
    { lossType: "exo_pair" },
    {},
    /\[labelSmoothing\] expected a number above 0 with exo_pair/u,
  ],
  ["weights of another number", { lossWeights: [1, 2] }, {}, /\[lossWeights\] expected 1 number/u],
  [
    "a divergence that a loss has not",
    { lossType: "aot", fDivergenceType: "js_divergence" },
    {},
    /\[fDivergenceType\] expected reverse_kl with aot/u,
  ],
  [
    "weighting of ranks",
    { lossType: ["sigmoid", "aot"], useWeighting: true },
    {},
    /\[useWeighting\] expected false with aot/u,
  ],
  ["an unknown loss", { lossType: "simpo" }, {}, /\[lossType\] expected/u],
])("%s is refused before anything is read", (_, args, peftConfig, message) => {
  const make = () => new DPOTrainer({ model: fakeModel(), trainDataset: pairs(3), args, peftConfig });
  expect(make).toThrow(OptionError);
  expect(make).toThrow(message);
});

test("a dry run counts pairs, plans for two phases and says what is left out", async () => {
  const rows = [...pairs(6), { prompt: "a".repeat(80), chosen: "b", rejected: "c" }];
  const { trainer: made } = await trainer({}, {}, { trainDataset: rows });
  const { data, memory, warnings, totalSteps, firstBatch } = await made.dryRun();
  expect((firstBatch?.count ?? 0) % 2).toBe(0);
  expect(firstBatch?.rows[0]?.place).toBe(firstBatch?.rows[1]?.place);
  expect(data).toMatchObject({ rows: 7, kept: 6, format: "preference" });
  expect(memory?.pass.twoPhases).toBe(true);
  expect(totalSteps).toBe(6);
  expect(warnings).toContainEqual(expect.stringMatching(/1 of 7 rows are left out .*the prompt fills maxLength 64/u));
});

test("rows without two answers are a DataError, before a folder is made", async () => {
  const { trainer: made } = await trainer({}, {}, { trainDataset: [{ prompt: "a", completion: "b" }] });
  await expect(made.train()).rejects.toThrow(DataError);
});

test("the adapter has no dropout, unless that is asked for", async () => {
  const dropout = async (args: object) => {
    const { trainer: made } = await trainer(args, {}, { peftConfig: { loraDropout: 0.1 } });
    return (await made.dryRun()).peftConfig.loraDropout;
  };
  expect(await dropout({})).toBe(0);
  expect(await dropout({ disableDropout: false })).toBe(0.1);
});

test("the best model may be chosen by margins", async () => {
  const args = { metricForBestModel: "eval_rewards/margins", loadBestModelAtEnd: true, saveStrategy: "no" };
  const { trainer: made, outputDir } = await trainer(args);
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  expect(ofType(events, "eval").at(-1)?.best).toBe(true);
  expect(JSON.parse(await readFile(join(outputDir, "report.json"), "utf8"))).toMatchObject({
    steps: 6,
    loadedBestStep: 6,
  });
});

test("commands that look at the folder can read it", async () => {
  const { trainer: made, outputDir } = await trainer({ maxSteps: 1 });
  await made.train();
  expect(await readRunConfig(outputDir)).toMatchObject({
    trainer: "dpo",
    fromProgram: [],
    args: { beta: 0.5, outputDir },
  });
  const rows = [{ prompt: "a", completion: "b" }];
  const other = new SFTTrainer({ model: fakeModel(), trainDataset: rows, args: { outputDir, maxSteps: 1 } });
  await expect(other.train({ resumeFromCheckpoint: true })).rejects.toThrow(/trainer \(was "dpo", is null\)/u);
});
