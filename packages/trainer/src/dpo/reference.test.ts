import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { DPOTrainer, type TrainOptions } from "../index.ts";
import { type FakeOptions, fakeModel } from "../testing/fake-session.ts";
import { ofType, record } from "../testing/record.ts";
import { scratchFolder } from "../testing/scratch.ts";

// Many runs with all their syncing; a busy disk takes its time.
vi.setConfig({ testTimeout: 60_000 });

let model: string;
beforeEach(async () => {
  vi.stubEnv("HF_DATASETS_CACHE", await scratchFolder(onTestFinished));
  model = await scratchFolder(onTestFinished);
  await writeFile(join(model, "config.json"), "{}");
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
});

const cache = () => join(process.env.HF_DATASETS_CACHE ?? "", "tunesmith-tokens");

const pairs = (count: number, said = "no") =>
  Array.from({ length: count }, (_, n) => ({
    prompt: `say ${"abcdefgh"[n % 8]}`,
    chosen: " yes please",
    rejected: ` ${said}`,
  }));

interface Run {
  args?: object;
  fake?: FakeOptions;
  peftConfig?: object;
  rows?: ReturnType<typeof pairs>;
  start?: TrainOptions;
}

/** A run on a model in files, and every call of its sessions. */
async function run({ args = {}, fake = {}, peftConfig = {}, rows = pairs(7), start = {} }: Run = {}) {
  const calls: string[] = [];
  const onCall = (name: string) => {
    calls.push(name);
    fake.onCall?.(name);
  };
  const outputDir = await scratchFolder(onTestFinished);
  const made = new DPOTrainer({
    model: fakeModel({ path: model, ...fake, onCall }),
    ...{ trainDataset: rows, evalDataset: pairs(3, "never"), peftConfig },
    args: {
      ...{
        outputDir,
        maxLength: 64,
        maxSteps: 2,
        perDeviceTrainBatchSize: 2,
        precomputeRefLogProbs: true,
        saveSteps: 1,
      },
      // A generator of the fake model begins as a session with this seed.
      ...{ seed: 0, learningRate: 1e-3, warmupSteps: 0, ...args },
    },
  });
  const { events, error } = await record(made.train(start));
  const told = ofType(events, "preparing").map(({ dataset, rows: count, reference }) => [dataset, count, reference]);
  return { calls, error, told, outputDir, warnings: ofType(events, "warning").map(({ message }) => message), events };
}

const asked = (fromCache: boolean) => [
  ["train", 7, { fromCache }],
  ["eval", 3, { fromCache }],
];

test("the reference is asked before the weights that are trained are read, and freed again", async () => {
  const { calls, error, told } = await run({ args: { evalStrategy: "no" } });
  expect(error).toBeNull();
  const before = calls.slice(0, calls.indexOf("createSession"));
  // Four batches of training rows, and one of evaluation rows.
  expect(before).toEqual(["createGenerator", ...Array(5).fill("logProbs"), "dispose"]);
  expect(calls.slice(before.length)).not.toContain("logProbs");
  expect(calls).not.toContain("disableAdapter");
  expect(told).toEqual(asked(false));
});

test("what was computed is taken by the runs after it, and by none with other rows, another model or other weights", async () => {
  await run();
  const again = await run({ args: { beta: 0.3, lossType: "ipo", seed: 1 } });
  expect(again.told).toEqual(asked(true));
  expect(again.calls).not.toContain("createGenerator");
  expect(again.warnings).toEqual([]);
  const rows = await run({ rows: pairs(7, "never") });
  expect(rows.told[0]).toEqual(["train", 7, { fromCache: false }]);
  expect(rows.told[1]).toEqual(["eval", 3, { fromCache: true }]);
  await writeFile(join(model, "config.json"), "{ }");
  expect((await run()).told).toEqual(asked(false));
  expect((await run({ args: { loadFromCacheFile: false } })).told).toEqual(asked(false));
  // A model that is no file has no digest to know it by.
  const nowhere = { path: join(model, "nowhere") };
  await run({ fake: nowhere });
  expect((await run({ fake: nowhere })).told).toEqual(asked(false));
});

test("a file that cannot be used is said, made again and never taken", async () => {
  const whole = await run();
  for (const name of await readdir(cache())) await writeFile(join(cache(), name), "not numbers");
  const again = await run();
  expect(again.told).toEqual(asked(false));
  expect(again.warnings).toEqual(
    Array(2).fill(
      expect.stringMatching(
        /\.safetensors: not the reference log-probabilities that it should hold, so they were computed again/u,
      ),
    ),
  );
  const file = (folder: string) => readFile(join(folder, "adapter/adapter_model.safetensors"));
  expect((await file(again.outputDir)).equals(await file(whole.outputDir))).toBe(true);
  expect((await run()).told).toEqual(asked(true));
});

test("a run that goes on takes what is kept, and says where it had to compute it again", async () => {
  const { outputDir } = await run();
  const resume = async () => {
    await rm(join(outputDir, "checkpoint-2"), { recursive: true });
    return run({ args: { outputDir }, start: { resumeFromCheckpoint: true } });
  };
  const kept = await resume();
  expect([kept.error, kept.told, kept.warnings]).toEqual([null, asked(true), []]);
  await rm(cache(), { recursive: true });
  expect((await resume()).warnings).toEqual([
    expect.stringMatching(/^reference log-probabilities of 10 rows were computed again, since none are kept/u),
  ]);
});

test("a run that is stopped while the reference is asked frees it and trains nothing", async () => {
  const control = new AbortController();
  const fake = { onCall: (name: string) => (name === "logProbs" ? control.abort() : undefined) };
  const { calls, error } = await run({ fake, start: { signal: control.signal } });
  expect(error).toMatchObject({ name: "AbortError" });
  expect(calls).toEqual(["createGenerator", "logProbs", "dispose"]);
  expect(await readdir(cache()).catch(() => [])).toEqual([]);
});

test("all weights have a frozen copy, which is asked in place of the adapter and freed at the end", async () => {
  const peftConfig = { fullFinetuning: true };
  const { calls, error, events } = await run({
    peftConfig,
    args: { precomputeRefLogProbs: false, evalStrategy: "no" },
  });
  expect(error).toBeNull();
  expect(calls.filter((name) => name === "createGenerator")).toHaveLength(1);
  expect(calls.filter((name) => name === "dispose")).toHaveLength(2);
  expect(calls).not.toContain("disableAdapter");
  expect(ofType(events, "log")[0]).toMatchObject({ loss: Math.LN2, "rewards/margins": 0 });
  const precomputed = await run({ peftConfig, args: { evalStrategy: "no" } });
  expect(ofType(precomputed.events, "done")[0]?.result.lossHash).toBe(ofType(events, "done")[0]?.result.lossHash);
});

test("a batch size of the reference without precomputed log-probabilities is said to have no effect", async () => {
  const { warnings } = await run({ args: { precomputeRefLogProbs: false, precomputeRefBatchSize: 4 } });
  expect(warnings).toEqual([expect.stringMatching(/precomputeRefBatchSize .* precomputeRefLogProbs is off/u)]);
});
