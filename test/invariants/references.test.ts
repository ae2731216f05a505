// The reference of preference optimization: whichever way its log-probabilities come, a run is the same to the bit, and its memory is planned.
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { type DPOConfig, DPOTrainer, FastLanguageModel, type LoraConfig } from "../../packages/cli/src/index.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";

const pairs = Array.from({ length: 14 }, (_, n) => ({
  prompt: `say ${"abcdefgh"[n % 8]} in some words`,
  chosen: ` ${"xyz"[n % 3]}es please`.repeat(1 + (n % 3)),
  rejected: ` no${"nope"[n % 4]}`,
}));

const model = () => FastLanguageModel.fromPretrained(smallModel("llama"), { device: "cpu" });

/** A run, with its files and what it said of its reference. */
async function run(args: DPOConfig, peftConfig: LoraConfig = {}, resumeFromCheckpoint: boolean | string = false) {
  const outputDir = args.outputDir ?? join(temporaryFolder(), "run");
  const trainer = new DPOTrainer({
    model: await model(),
    ...{ trainDataset: pairs, evalDataset: pairs.slice(0, 9), peftConfig },
    args: {
      ...{ maxSteps: 6, perDeviceTrainBatchSize: 3, gradientAccumulationSteps: 2, saveSteps: 3, evalSteps: 3 },
      ...{ learningRate: 1e-3, warmupSteps: 0, evalOnStart: true, ...args, outputDir },
    },
  });
  const told: string[] = [];
  const training = trainer.train({ resumeFromCheckpoint });
  for await (const event of training)
    if (event.type === "preparing" && event.reference !== undefined && event.share === 1)
      told.push(`${event.dataset} ${event.rows} ${event.reference.fromCache ? "cached" : "computed"}`);
  const result = await training;
  const bytes = (path: string) => readFileSync(join(outputDir, path));
  const metrics = bytes("metrics.jsonl").toString();
  const file = peftConfig.fullFinetuning === true ? "model.safetensors" : "adapter_model.safetensors";
  return { outputDir, told, result, metrics, weights: bytes(`adapter/${file}`) };
}

const computed = ["train 14 computed", "eval 9 computed"];
const cached = ["train 14 cached", "eval 9 cached"];

const cases: [string, LoraConfig][] = [
  ["an adapter", { r: 4 }],
  ["an adapter that does not begin at 0", { r: 4, initLoraWeights: "pissa" }],
  ["an adapter that is continued", { adapterPath: "" }],
  ["all weights", { fullFinetuning: true }],
];

test.each(cases)("%s: log-probabilities computed before the run are those of each step", async (_, given) => {
  vi.stubEnv("HF_DATASETS_CACHE", temporaryFolder());
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const first = given.adapterPath === undefined ? null : (await run({ maxSteps: 2 }, { r: 4 })).result.adapterDir;
  const peft = first === null ? given : { adapterPath: first };
  const plain = await run({}, peft);
  expect(plain.told).toEqual([]);
  const before = await run({ precomputeRefLogProbs: true }, peft);
  expect(before.told).toEqual(computed);
  expect(before.metrics).toBe(plain.metrics);
  expect(before.weights.equals(plain.weights)).toBe(true);
  // A run after it asks nothing, and neither does one that goes on.
  const after = await run({ precomputeRefLogProbs: true }, peft);
  expect([after.told, after.metrics]).toEqual([cached, plain.metrics]);
  for (const gone of ["adapter", "report.json", "checkpoint-6"])
    await rm(join(after.outputDir, gone), { recursive: true });
  const resumed = await run({ precomputeRefLogProbs: true, outputDir: after.outputDir }, peft, true);
  expect([resumed.told, resumed.result.lossHash]).toEqual([cached, plain.result.lossHash]);
  expect(resumed.weights.equals(plain.weights)).toBe(true);
  // However rows share passes.
  const alone = await run({ precomputeRefLogProbs: true, precomputeRefBatchSize: 1 }, peft);
  expect([alone.told, alone.metrics]).toEqual([computed, plain.metrics]);
});

test.each<[string, DPOConfig, LoraConfig]>([
  ["an adapter", {}, {}],
  [
    "evaluations with larger passes than those of steps",
    { perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 1 },
    {},
  ],
  ["weights of pairs", { useWeighting: true, gradientCheckpointing: true }, {}],
  ["passes of few tokens", { tokenBudget: 64 }, {}],
  ["all weights", {}, { fullFinetuning: true }],
])("what is planned is what a run takes, or a little more: %s", async (_, args, peft) => {
  const { result } = await run(args, peft);
  const { enginePeakBytes: peak } = result.metrics;
  expect(result.estimatedBytes).toBeGreaterThanOrEqual(peak);
  expect(result.estimatedBytes).toBeLessThan(1.4 * peak);
});
