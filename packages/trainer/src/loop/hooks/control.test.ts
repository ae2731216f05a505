import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DisposedError } from "@tunesmith/core";
import { expect, test, vi } from "vitest";
import type { TrainCallback, TrainControl, TrainEvent } from "../../index.ts";
import { lines } from "../../testing/lines.ts";
import { ofType, record } from "../../testing/record.ts";
import { trainer } from "../../testing/sft-trainer.ts";

// Whole runs with all their syncing; a busy disk takes its time.
vi.setConfig({ testTimeout: 120_000 });

/** Steers at one event. */
const at =
  (type: TrainEvent["type"], step: number, steer: (control: TrainControl) => void): TrainCallback =>
  (event, { control }) => {
    if (event.type === type && "step" in event && event.step === step) steer(control);
  };

const readJson = async (...path: string[]) => JSON.parse(await readFile(join(...path), "utf8"));
const quiet = { evalStrategy: "no", saveStrategy: "no", loggingStrategy: "no" };
const kinds = (events: readonly TrainEvent[]) =>
  events.flatMap(({ type, ...rest }) =>
    ["eval", "sample", "checkpoint"].includes(type) ? [`${type} ${"step" in rest ? rest.step : ""}`] : [],
  );

test("stop ends the run well after the step in hand; given more steps it goes on", async () => {
  const callbacks = [at("stepBegin", 2, ({ stop }) => stop())];
  const { trainer: made, outputDir } = await trainer({ lrSchedulerType: "constant" }, {}, { callbacks });
  const result = await made.train();
  expect(result).toMatchObject({ stoppedBy: "callback", globalStep: 2 });
  expect(await readJson(outputDir, "report.json")).toMatchObject({ stoppedBy: "callback", steps: 2 });
  expect(await readdir(outputDir)).toEqual(expect.arrayContaining(["adapter", "checkpoint-2"]));
  const again = await made.train({ resumeFromCheckpoint: true });
  expect(again).toMatchObject({ stoppedBy: "callback", globalStep: 2, lossHash: result.lossHash });
  expect(again.warnings).toEqual([expect.stringContaining("this run is finished")]);
  const { trainer: longer } = await trainer({ lrSchedulerType: "constant", maxSteps: 7, outputDir });
  expect(await longer.train({ resumeFromCheckpoint: true })).toMatchObject({ stoppedBy: "max_steps", globalStep: 7 });
  const unsaved = await trainer(quiet, {}, { callbacks });
  expect((await unsaved.trainer.train()).globalStep).toBe(2);
  expect(await readdir(unsaved.outputDir)).not.toContain("checkpoint-2");
});

test("what is asked for is done after the step, in its order; what comes too late after the next", async () => {
  const all = (control: TrainControl) => {
    control.save();
    control.sample();
    control.evaluate();
  };
  const callbacks = [at("step", 2, all), at("checkpoint", 2, all), at("sample", 6, ({ evaluate }) => evaluate())];
  const { trainer: made } = await trainer(
    { ...quiet, sampleOnEval: false, sampleEverySteps: 6, samplePrompts: ["hello"] },
    {},
    { callbacks },
  );
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  const once = (step: number) => [`eval ${step}`, `sample ${step}`, `checkpoint ${step}`];
  expect(kinds(events)).toEqual([...once(2), ...once(3), "sample 6"]);
  expect(ofType(events, "warning").map(({ message }) => message)).toEqual([
    expect.stringMatching(/^control\.evaluate\(\): asked for after the last step had been looked at/u),
  ]);
});

test("before the first step evaluations and samples are done at once, a checkpoint after it", async () => {
  const all = ({ evaluate, sample, save }: TrainControl) => [evaluate, sample, save].forEach((ask) => void ask());
  const callbacks = [at("prepared", 0, all)];
  const { trainer: made } = await trainer(
    { ...quiet, sampleOnEval: false, samplePrompts: ["hello"] },
    {},
    { callbacks },
  );
  expect(kinds((await record(made.train())).events)).toEqual(["eval 0", "sample 0", "checkpoint 1"]);
});

test("lines of metrics stand in metrics.jsonl and in the event files, to the last event", async () => {
  const callbacks = [
    at("step", 2, ({ log }) => log({ "reward/mean": 0.5, spread: Number.NaN })),
    at("trainEnd", 6, ({ log }) => log({ total: 3 })),
    ((event, { control }) => {
      if (event.type === "done") control.log({ last: 4 });
    }) satisfies TrainCallback,
  ];
  const { trainer: made, outputDir } = await trainer({ ...quiet, reportTo: "tensorboard" }, {}, { callbacks });
  await made.train();
  expect(await lines(join(outputDir, "metrics.jsonl"))).toEqual([
    { step: 2, epoch: expect.closeTo(0.8), "reward/mean": 0.5, spread: null },
    { step: 6, epoch: 2, total: 3 },
    { step: 6, epoch: 2, last: 4 },
  ]);
  const [name = ""] = await readdir(join(outputDir, "runs"));
  const written = await readFile(join(outputDir, "runs", name), "latin1");
  for (const tag of ["train/reward/mean", "train/total", "train/last"]) expect(written).toContain(tag);
});

test("the learning rate is the one that was set, for groups in proportion, until it is given back", async () => {
  const args = { learningRate: 1e-3, lrSchedulerType: "constant", loraplusLrRatio: 4, saveSteps: 4 };
  const callbacks = [
    at("stepBegin", 2, ({ setLearningRate }) => setLearningRate(5e-4)),
    at("step", 3, ({ setLearningRate }) => setLearningRate(0)),
    at("step", 4, ({ setLearningRate }) => setLearningRate(null)),
  ];
  const { trainer: made, outputDir } = await trainer(args, {}, { callbacks });
  const { events } = await record(made.train());
  const rates = ofType(events, "step").map(({ learningRate }) => learningRate);
  expect(rates).toEqual([1e-3, 5e-4, 5e-4, 0, 1e-3, 1e-3]);
  expect(ofType(events, "log").map(({ learningRate }) => learningRate)).toEqual(rates);
  expect((await readJson(outputDir, "checkpoint-4/trainer_state.json")).learning_rate_override).toEqual({
    learningRate: null,
    fromStep: null,
    times: 3,
  });
  const learningRateOverride = { learningRate: null, fromStep: 5, times: 3 };
  expect(ofType(events, "done")[0]?.result.learningRateOverride).toEqual(learningRateOverride);
  expect((await readJson(outputDir, "report.json")).learningRateOverride).toEqual(learningRateOverride);
});

test("what cannot be done is refused where it is asked for, by its name", async () => {
  const wrong: [TrainEvent["type"], number, (control: TrainControl) => void, RegExp][] = [
    ["step", 1, ({ evaluate }) => evaluate(), /^\[callback 1\] .*\[control\.evaluate\] expected an evaluation set/u],
    ["step", 1, ({ sample }) => sample(), /\[control\.sample\] expected prompts to answer, got none/u],
    ["step", 1, ({ log }) => log({ step: 1 }), /\[control\.log\] expected names of metrics, got "step"/u],
    ["step", 1, ({ log }) => log({ a: "b" } as never), /\[control\.log\.a\] expected a number, got "b"/u],
    ["step", 1, ({ log }) => log(3 as never), /\[control\.log\] expected numbers by name, got 3/u],
    ["step", 1, ({ setLearningRate }) => setLearningRate(-1), /\[control\.setLearningRate\] .* got -1/u],
    ["step", 1, ({ setLearningRate }) => setLearningRate("1" as never), /setLearningRate\] .* got "1"/u],
    ["trainEnd", 6, ({ save }) => save(), /\[control\.save\] expected a step to come/u],
  ];
  for (const [type, step, steer, message] of wrong) {
    const callbacks = [at(type, step, steer)];
    const { trainer: made } = await trainer({ saveStrategy: "no" }, {}, { evalDataset: null, callbacks });
    const { error } = await record(made.train());
    expect(error).toMatchObject({ code: "CALLBACK_FAILED", message: expect.stringMatching(message) });
  }
});

test("a control that is kept steers from anywhere, and says so when the run has ended", async () => {
  let kept: TrainControl | null = null;
  const callbacks: TrainCallback[] = [
    (event, { control }) => {
      kept = control;
      if (event.type === "step" && event.step === 2) setImmediate(() => control.stop());
    },
    async () => new Promise((resolve) => setImmediate(resolve)),
  ];
  const { trainer: made } = await trainer(quiet, {}, { callbacks });
  expect(await made.train()).toMatchObject({ stoppedBy: "callback", globalStep: 2 });
  const control = kept as unknown as TrainControl;
  control.stop();
  expect(() => control.log({ a: 1 })).toThrow(DisposedError);
  expect(() => control.evaluate()).toThrow("[control] expected a run in progress, got evaluate() after its end");
});
