import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { CallbackError, HealthError } from "@tunesmith/core";
import { expect, test } from "vitest";
import type { HealthRule, SFTTrainerOptions } from "../index.ts";
import type { FakeOptions } from "../testing/fake-session.ts";
import { plan as fiveGib } from "../testing/memory-plan.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations } from "../testing/scratch.ts";
import { trainer } from "../testing/sft-trainer.ts";
import { Unheard } from "./unheard.ts";

const falling = Array.from({ length: 100 }, (_, n) => 1 + 2 * Math.exp(-n / 10) + 0.05 * Math.sin(n));
const flat = Array.from({ length: 100 }, (_, n) => 2 + 0.001 * Math.sin(n));
const codes = (text: string) => Array.from(text, (letter) => letter.charCodeAt(0));
const words = ["the answer of the first", "what the second one says", "and a third"];

/** A run of the fake model: its findings, by rule and step, and its result. */
async function findings(fake: FakeOptions, args: object = {}, more: Partial<SFTTrainerOptions> = {}) {
  const healthy: FakeOptions = {
    stepLosses: falling,
    gradNorms: Array(100).fill(2),
    answers: (_, n) => codes(words[n] ?? ""),
  };
  const { trainer: made, outputDir } = await trainer(
    { maxSteps: 40, evalStrategy: "no", ...args },
    { ...healthy, ...fake },
    more,
  );
  const { events, error } = await record(made.train());
  const found = ofType(events, "health");
  return { events, error, found, told: found.map(({ rule, step }) => `${rule} ${step}`), outputDir, made };
}

const evaluated = { evalStrategy: "steps", evalSteps: 10 };
const sampled = { ...evaluated, sampleOnEval: true };

test("a healthy run with evaluations and answers is told nothing", async () => {
  const { told, error, events } = await findings(
    { evalLosses: [3, 2.5, 2, 1.9, 1.8] },
    { ...sampled, evalOnStart: true },
  );
  expect(error).toBeNull();
  expect(told).toEqual([]);
  expect(ofType(events, "done")[0]?.result.health).toEqual([]);
  expect(ofType(events, "sample").map(({ step }) => step)).toEqual(
    [0, 10, 20, 30, 40].flatMap((step) => [step, step, step]),
  );
});

const plan = { ...fiveGib, device: "cuda", free: 100 * 2 ** 30 };
const at = (n: number, value: number, usual: readonly number[]) => usual.map((one, k) => (k === n - 1 ? value : one));
const norms = (value: (n: number) => number) => Array.from({ length: 100 }, (_, n) => value(n));
const answers = (texts: (index: number) => string): FakeOptions => ({
  answers: (call, index) => codes(call === 1 ? (words[index] ?? "") : texts(index)),
});

test.each<[string, FakeOptions, object]>([
  ["loss-not-falling 20", { stepLosses: flat }, {}],
  ["loss-spike 30", { stepLosses: at(30, 9, falling) }, {}],
  [
    "gradient-norm 7",
    {
      gradNorms: at(
        7,
        101,
        norms(() => 2),
      ),
    },
    {},
  ],
  ["gradient-norm-growing 50", { gradNorms: norms((n) => 2 * 1.05 ** n) }, { maxSteps: 50 }],
  ["overfitting 40", { evalLosses: [1, 2, 3, 4] }, evaluated],
  ["learning-rate 0", {}, { learningRate: 0.02 }],
  ["repeated-ngrams 10", answers((n) => `${n}${"abcd".repeat(9)}`), sampled],
  [
    "cut-answers 10",
    answers((n) => `${n}${Array.from({ length: 70 }, (_, k) => String.fromCharCode(33 + k)).join("")}`),
    sampled,
  ],
  ["empty-answers 10", answers(() => ""), sampled],
  ["equal-answers 10", answers(() => "always the same answer"), sampled],
  ["memory 1", { plan, inUse: 98 * 2 ** 30 }, {}],
  ["untrained-tokens 1", { untrainedTokens: [129, 7] }, {}],
])("a run with %s is told so, once, with its number and a remedy", async (expected, fake, args) => {
  const { told, found, error, events, outputDir } = await findings(fake, args);
  expect(error).toBeNull();
  expect(told).toEqual([expected]);
  expect(found[0]).toMatchObject({ value: expect.any(Number), remedy: expect.stringMatching(/\w{3}/) });
  expect(found[0]?.message).toMatch(/\d/u);
  const { type: _, ...told0 } = found[0] as (typeof found)[0];
  expect(ofType(events, "done")[0]?.result.health).toEqual([told0]);
  expect(JSON.parse(await readFile(join(outputDir, "report.json"), "utf8")).health).toEqual([told0]);
});

test("a run that waits for its rows is told so", async () => {
  async function* slow() {
    while (true) {
      await setTimeout(15);
      yield* conversations(1);
    }
  }
  const args = { perDeviceTrainBatchSize: 2, gradientAccumulationSteps: 1, trainSamplingStrategy: "sequential" };
  const { found } = await findings({}, args, { trainDataset: slow });
  expect(found.map(({ rule }) => rule)).toEqual(["waiting-for-data"]);
  expect(found[0]?.value).toBeGreaterThan(0.5);
});

test("a spike names its rows by file and line", async () => {
  const { found } = await findings({ stepLosses: at(30, 9, falling) });
  expect(found[0]?.rows).toHaveLength(4);
  expect(found[0]?.rows[0]).toMatch(/^trainDataset:\d+$/u);
});

test("what was told before a stop is not told after it, and what is found after it is what would have been", async () => {
  const fake = {
    stepLosses: at(35, 9, at(25, 9, falling)),
    gradNorms: at(
      38,
      500,
      norms(() => 2),
    ),
  };
  const whole = await findings(fake);
  expect(whole.told).toEqual(["loss-spike 25", "gradient-norm 38"]);
  const cut = await trainer({ maxSteps: 40, evalStrategy: "no" }, fake);
  const stop = new AbortController();
  const before: string[] = [];
  const run = cut.trainer.train({ signal: stop.signal });
  await expect(async () => {
    for await (const event of run) {
      if (event.type === "health") before.push(event.rule);
      if (event.type === "step" && event.step === 30) stop.abort();
    }
  }).rejects.toThrow("after step 30");
  const { events } = await record(cut.trainer.train({ resumeFromCheckpoint: true }));
  // The fake tells gradient norms from the beginning again.
  expect([before, ofType(events, "health").map(({ rule }) => rule)]).toEqual([["loss-spike"], []]);
  expect(ofType(events, "done")[0]?.result.health.map(({ rule, step }) => `${rule} ${step}`)).toEqual([
    "loss-spike 25",
  ]);
});

test('onHealth "stop" saves and ends with a HealthError; resumed, the run goes on to the same end', async () => {
  const fake = { stepLosses: at(30, 9, falling) };
  const { error, events, made, outputDir } = await findings(fake, { onHealth: "stop" });
  expect(error).toBeInstanceOf(HealthError);
  expect((error as HealthError).code).toBe("HEALTH_STOPPED");
  expect(error?.message).toMatch(
    /^\[health\] expected a run without findings, got loss-spike after step 30 of 40: loss spike: 9 in step 30, .*trainDataset:\d+.*; the run is saved after step 30, continue it all the same with: /u,
  );
  expect(events.slice(-2).map(({ type }) => type)).toEqual(["health", "checkpoint"]);
  const rest = await record(made.train({ resumeFromCheckpoint: true }));
  expect(rest.error).toBeNull();
  expect(ofType(rest.events, "step")[0]?.step).toBe(31);
  const whole = await findings(fake);
  const files = ["metrics.jsonl", "adapter/adapter_model.safetensors"];
  for (const file of files)
    expect(await readFile(join(outputDir, file))).toEqual(await readFile(join(whole.outputDir, file)));
  const hashes = [rest, whole].map((one) => ofType(one.events, "done")[0]?.result.lossHash);
  expect(hashes[0]).toBe(hashes[1]);
});

test.each([
  ["overfitting", { evalLosses: [1, 2, 3, 4] }, evaluated],
  ["equal-answers", answers(() => "always the same answer"), sampled],
] as const)("it stops after an evaluation and its samples too: %s", async (rule, fake, args) => {
  const whole = await findings(fake, args);
  const { error, made, outputDir } = await findings(fake, { ...args, onHealth: "stop" });
  expect(error?.message).toContain(rule);
  const rest = await record(made.train({ resumeFromCheckpoint: true }));
  expect(rest.error).toBeNull();
  const steps = async (folder: string, file: string) =>
    (await readFile(join(folder, file), "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).step);
  for (const file of ["metrics.jsonl", "samples.jsonl"].slice(0, "sampleOnEval" in args ? 2 : 1))
    expect(await steps(outputDir, file)).toEqual(await steps(whole.outputDir, file));
});

test("a rate that is too high stops before anything is trained, and a dry run says so", async () => {
  const { error, events, made } = await findings({}, { onHealth: "stop", learningRate: 0.5 });
  expect(error?.message).toMatch(
    /learning-rate after step 0 of 40: .*nothing has been trained; set onHealth to "warn"/u,
  );
  expect(ofType(events, "step")).toEqual([]);
  expect((await made.dryRun()).warnings).toContainEqual(
    expect.stringMatching(/^learning-rate: learningRate 0\.5 is too high/u),
  );
});

test("a rule of one's own is asked, told once, and takes the place of one of its name", async () => {
  const steps: number[] = [];
  const own: HealthRule = {
    name: "loss-spike",
    check({ event, step, steps: newest }) {
      if (event !== "step") return null;
      steps.push(newest.at(-1)?.step ?? 0);
      return step < 3 ? null : { message: `step ${step}`, value: step, remedy: "nothing", rows: [0] };
    },
  };
  const { told, found } = await findings({ stepLosses: at(30, 9, falling) }, {}, { healthRules: [own] });
  expect(told).toEqual(["loss-spike 3"]);
  expect(found[0]).toMatchObject({ message: "step 3", value: 3, rows: ["trainDataset:1"] });
  expect(steps).toHaveLength(40);
});

test("a rule that throws or gives something else ends the run by its name, and what was trained is saved", async () => {
  for (const [check, got] of [
    [
      () => {
        throw new Error("no such metric");
      },
      "no such metric",
    ],
    [() => "bad", "a finding without"],
    [async () => null, "a promise"],
  ] as const) {
    const rule = { name: "mine", check: (view: { step: number }) => (view.step === 4 ? check() : null) };
    const { error, made } = await findings({}, { maxSteps: 6 }, { healthRules: [rule as unknown as HealthRule] });
    expect(error).toBeInstanceOf(CallbackError);
    expect(error?.message).toContain(`of the rule "mine" at step 4, got: ${got}`);
    expect(made).toBeDefined();
  }
});

test("findings that no one reads become warnings of the process", () => {
  const warned: string[] = [];
  const unheard = new Unheard(false, (message) => warned.push(message));
  unheard.add({ type: "health", rule: "mine", step: 1, message: "bad", value: 1, remedy: "do this", rows: ["a:1"] });
  expect(warned).toEqual(["mine: bad (a:1); do this"]);
});
