import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { LanguageModel, SFTMetrics, TrainEvent } from "@tunesmith/sdk";
import { expect, test } from "vitest";
import { RunView } from "./run-view.ts";

const info = { path: "models/smol.gguf", modelType: "llama", maxPositionEmbeddings: 2048, weightBytes: 2e6 };
const model = { info } as LanguageModel;
const data = {
  source: join(process.cwd(), "train.jsonl"),
  format: "messages",
  ignoredColumns: [],
  skipped: { count: 0, first: [] },
  rows: 10,
  kept: 9,
  dropped: [{ source: "train.jsonl", line: 3, reason: "no label" }],
  truncated: 2,
  truncatedReplies: 1,
  uncounted: 0,
  tokens: { min: 5, median: 7, p95: 9, max: 10, total: 70 },
  trainedTokens: 35,
  trainedShare: 0.5,
  lossWeights: null,
  prefixMismatches: 0,
  duplicates: 0,
} as const;
const cutTokens = { prompt: 3, answer: 2 };
const evaluation = { type: "eval", evalEntropy: 0.1, best: false } as const;
const runDir = join(process.cwd(), "runs", "a");

const events: TrainEvent<SFTMetrics>[] = [
  {
    type: "prepared",
    runDir,
    step: 0,
    totalSteps: 2,
    session: {
      backend: "cpu",
      backendNote: null,
      threads: 2,
      matmulLibrary: null,
      totalParameters: 1_000_000,
      trainableParameters: 10_000,
      parameterGroups: [],
      adapterModules: [],
      quantization: null,
      untrainedTokens: [],
      warnings: [],
    },
    memory: { inUse: 2 ** 20, peak: 2 ** 21 },
    data: {
      ...data,
      dropped: [...data.dropped],
      skipped: { count: 3, first: [] },
      ignoredColumns: ["id", "source"],
      notWritten: [],
      endsNotTrained: [],
      controlTokens: [],
      cutTokens,
    },
    evalData: null,
    chatTemplateSha256: "0123456789abcdef",
  },
  { ...evaluation, step: 0, epoch: 0, evalLoss: 3.5, evalMeanTokenAccuracy: 0.25 },
  {
    type: "step",
    step: 1,
    totalSteps: 2,
    epoch: 0.5,
    loss: 3,
    learningRate: 1e-3,
    gradNorm: 1,
    tokens: 40,
    seconds: 1,
    memory: { inUse: 1, peak: 1 },
  },
  { type: "warning", step: 1, message: "look here" },
  { type: "sample", step: 1, prompt: "two\nlines", completion: "yes ", reference: null, finishReason: "stop" },
  {
    type: "step",
    step: 2,
    totalSteps: 2,
    epoch: 1,
    loss: 1,
    learningRate: 1e-3,
    gradNorm: 1,
    tokens: 40,
    seconds: 1,
    memory: { inUse: 1, peak: 1 },
  },
  { ...evaluation, step: 2, epoch: 1, evalLoss: 0.5, evalMeanTokenAccuracy: 0.9, best: true },
  { type: "checkpoint", step: 2, path: join(runDir, "checkpoint-2") },
  {
    type: "done",
    result: {
      globalStep: 2,
      trainingLoss: 2,
      evalBefore: { evalLoss: 3.5, evalMeanTokenAccuracy: 0.25, evalEntropy: 0.1 },
      evalAfter: { evalLoss: 0.5, evalMeanTokenAccuracy: 0.9, evalEntropy: 0.1 },
      metrics: {
        trainRuntime: 65,
        trainSamplesPerSecond: 1,
        trainStepsPerSecond: 1,
        trainTokensPerSecond: 401.6,
        trainLoss: 2,
        epoch: 1,
        numTokens: 80,
        peakMemoryBytes: 2 ** 30,
        enginePeakBytes: 2 ** 21,
      },
      best: { metric: "eval_loss", value: 0.5, step: 2 },
      runDir,
      adapterDir: join(runDir, "adapter"),
      adapterBytes: 3 * 2 ** 20,
      estimatedBytes: 2 ** 22,
      stoppedBy: "epochs",
      learningRateOverride: null,
      phases: [],
      lossHash: "0123456789abcdef",
      warnings: ["look here"],
      health: [],
      data: {
        ...data,
        dropped: [...data.dropped],
        skipped: { count: 0, first: [] },
        ignoredColumns: [],
        notWritten: [],
        endsNotTrained: [],
        controlTokens: [],
        cutTokens,
      },
      evalData: null,
      difficulty: { difficulty: "loss", rows: 20, measured: 3, fromCache: 1, tokens: 1200, seconds: 2 },
    },
  },
];

test("tells the story of a run", () => {
  const written: string[] = [];
  const view = new RunView({ write: (text) => written.push(text) }, model);
  for (const event of events) view.show(event);
  const lines = stripVTControlCharacters(written.join("")).trimEnd().split("\n");
  // The speed of the last status line depends on the clock.
  expect(
    lines.map((line) =>
      line
        .replace(/\d+ tok\/s$/u, "N tok/s")
        .replace(/\d+ tok\/s {2}/u, "N tok/s  ")
        .replace(/ \((?:\d\d-\d\d )?\d\d:\d\d\)/u, ""),
    ),
  ).toEqual([
    "model  smol.gguf (llama), 1 M parameters, 10 k trained (1.0 %), cpu",
    "data   train.jsonl: 9 of 10 rows (messages), 5/7/9/10 tokens (min/median/p95/max), 50.0 % trained, 2 truncated, 1 of them in the reply, 1 dropped, 3 skipped, not read: id, source",
    "prompt chat template 0123456789ab",
    "usual  3 epochs, max length 128, batch 2 × 1, rate 0.0002: 9 rows, for format learning and style adaptation (--auto takes what is not set)",
    "run    runs/a, 2 steps",
    "eval at step 0  loss 3.5  token accuracy 25.0 %",
    "step 1/2  epoch 0.50  loss 3  lr 0.001  grad 1  N tok/s  ETA 0:01",
    "warning: look here",
    "sample at step 1: two lines → yes",
    "step 2/2  epoch 1.00  loss 1.947  lr 0.001  grad 1  N tok/s  ETA 0:00",
    "eval at step 2  loss 0.5  token accuracy 90.0 %  best so far",
    "saved runs/a/checkpoint-2",
    "done   2 steps in 1:05, 80 tokens, 402 tokens/s, peak memory 1.0 GiB",
    "loss   █▁  mean 2, hash 0123456789ab",
    "order  loss of 20 rows measured 3 times (1 from the cache), 1.2 k tokens in 0:02",
    "memory 2.0 MiB held by the engine at its peak, 4.0 MiB estimated (50.0 % of the estimate)",
    "eval   loss 3.5 before → 0.5 after, perplexity 33.12 → 1.649",
    "best   eval_loss 0.5 at step 2",
    "saved  runs/a/adapter (3.0 MiB), runs/a/report.html",
    "next   tunesmith chat runs/a",
    "       tunesmith eval runs/a --data FILE",
    "       tunesmith export gguf runs/a --output model.gguf",
  ]);
});

test("what a stranger wrote reaches the terminal without control characters", () => {
  const written: string[] = [];
  const bad = "a\u001b]0;title\u0007\u009b2J\u202eb\rc";
  const view = new RunView({ write: (text) => written.push(text) }, {
    info: { ...model.info, path: bad },
  } as LanguageModel);
  const prepared = events[0] as Extract<(typeof events)[number], { type: "prepared" }>;
  view.show({ ...prepared, runDir: bad, data: { ...prepared.data, source: bad } });
  view.show({ type: "sample", step: 1, prompt: bad, completion: bad, reference: null, finishReason: "stop" });
  view.show({ type: "checkpoint", step: 1, path: bad });
  view.show({ type: "warning", step: 1, message: bad });
  const text = stripVTControlCharacters(written.join(""));
  expect(text.match(/\\u001b\]0;title\\u0007\\u009b2J\\u202eb/gu)).toHaveLength(7);
  expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Bidi_Control}]/u);
});

test("says of a run that had ended before that nothing was trained", () => {
  const written: string[] = [];
  const view = new RunView({ write: (text) => written.push(text) }, model);
  const [prepared, done] = [events[0], events.at(-1)];
  if (prepared?.type === "prepared") view.show({ ...prepared, step: 2 });
  if (done?.type === "done") view.show(done);
  const lines = stripVTControlCharacters(written.join("")).trimEnd().split("\n");
  expect(lines.slice(3, 6)).toEqual([
    "run    runs/a, 2 steps, from step 2",
    "finished before: 2 steps; nothing was trained now",
    "loss   mean 2, hash 0123456789ab",
  ]);
});

test("on a GPU says which, and what of its memory is held before the first step and at the most", () => {
  const written: string[] = [];
  const view = new RunView({ write: (text) => written.push(text) }, model, {
    nameOf: (backend) => `${backend} (NVIDIA H100)`,
  });
  const [prepared, done] = [events[0], events.at(-1)];
  if (prepared?.type === "prepared") view.show({ ...prepared, session: { ...prepared.session, backend: "cuda" } });
  if (done?.type === "done") view.show(done);
  const lines = stripVTControlCharacters(written.join("")).split("\n");
  expect(lines.slice(0, 2)).toEqual([
    "model  smol.gguf (llama), 1 M parameters, 10 k trained (1.0 %), cuda (NVIDIA H100)",
    "memory 1.0 MiB of the device reserved before the first step",
  ]);
  expect(lines).toContain("memory 2.0 MiB of the device at the most, 1.0 MiB of it for training");
});

test("while rows are prepared a bar shows how far they are, and goes when the run begins", () => {
  const written: string[] = [];
  const out = { isTTY: true, columns: 100, write: (text: string) => written.push(text) };
  const view = new RunView(out, model, { nameOf: () => "CPU" });
  view.show({ type: "preparing", dataset: "train", rows: 1200, share: 0.26 });
  expect(written.at(-1)).toBe(`preparing training rows  ${"█".repeat(6)}${"░".repeat(18)}  26 %  1200 rows`);
  view.show({ type: "preparing", dataset: "eval", rows: 3, share: null });
  expect(written.at(-1)).toBe("preparing evaluation rows  3 rows");
  const before = written.length;
  view.show(events[0] as TrainEvent<SFTMetrics>);
  expect(stripVTControlCharacters(written.slice(before).join(""))).not.toContain("preparing");
  view.show({ type: "measuring", step: 4, difficulty: "ifd", rows: 300, share: 0.5, fromCache: false });
  expect(written.at(-1)).toBe(`measuring the ifd of training rows  ${"█".repeat(12)}${"░".repeat(12)}  50 %  300 rows`);
});

test("the numbers of pairs come into the line of the step that they are of, and where others have their token accuracy", () => {
  const written: string[] = [];
  const out = { isTTY: true, columns: 200, write: (text: string) => written.push(text) };
  const view = new RunView(out, model, { advises: false });
  const shown = () => stripVTControlCharacters(written.at(-1) ?? "");
  const step = events.find((event) => event.type === "step");
  if (step?.type === "step") view.show(step);
  expect(shown()).not.toContain("margin");
  const pairs = { "rewards/chosen": 0.3, "rewards/rejected": -0.1, "rewards/accuracies": 0.75, "rewards/margins": 0.4 };
  const answers = { "logps/chosen": -9, "logps/rejected": -8, "logits/chosen": 0, "logits/rejected": 0 };
  const numbers = { loss: 0.5, entropy: 1, meanTokenAccuracy: 0.2, ...pairs, ...answers };
  view.show({ type: "log", step: 1, epoch: 0.5, learningRate: 1e-3, gradNorm: 1, numTokens: 40, ...numbers });
  expect(shown()).toMatch(/^step 1\/2 .* loss 3 {2}pairs right 75\.0 % {2}margin 0\.4 {2}lr 0\.001/u);
  const evaluated = { ...evaluation, evalLoss: 0.6, evalMeanTokenAccuracy: 0.1 };
  view.show({ ...evaluated, step: 1, epoch: 0.5, "evalRewards/accuracies": 1, "evalRewards/margins": 0.25 });
  expect(stripVTControlCharacters(written.join(""))).toContain(
    "eval at step 1  loss 0.6  pairs right 100.0 %  margin 0.25\n",
  );
});
