import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, digestFile, OptionError } from "@tunesmith/core";
import { expect, test, vi } from "vitest";
import type { CallbackContext, CallbackObject, CallbackState, TrainCallback, TrainEvent } from "../../index.ts";
import { ofType, record } from "../../testing/record.ts";
import { trainer } from "../../testing/sft-trainer.ts";

// Whole runs with all their syncing; a busy disk takes its time.
vi.setConfig({ testTimeout: 120_000 });

const args = { saveSteps: 2, evalSteps: 3, sampleEverySteps: 4, learningRate: 1e-3 };

/** Counts every event, and decides by the counts: rates, lines, evaluations, samples and checkpoints. */
class Decider implements CallbackObject {
  name = "decider";
  counts: Record<string, number> = {};
  state = {
    save: () => this.counts,
    load: (state: unknown) => {
      this.counts = state as Record<string, number>;
    },
  };

  onEvent(event: TrainEvent, { control }: CallbackContext): void {
    // A resumed run begins again, and warns by itself.
    if (["prepared", "trainBegin", "warning", "done"].includes(event.type)) return;
    this.counts[event.type] = (this.counts[event.type] ?? 0) + 1;
    const total = Object.values(this.counts).reduce((sum, count) => sum + count, 0);
    if (event.type === "checkpoint") control.setLearningRate(1e-3 / total);
    if (event.type === "checkpoint" && event.step === 4) control.evaluate();
    if (event.type === "epochBegin") control.log({ total });
    if (event.type === "step" && event.step % 3 === 0) control.save();
    if (event.type === "stepBegin" && event.step === 2) control.sample();
  }
}

async function outcome(runDir: string) {
  const text = (name: string) => readFile(join(runDir, name), "utf8");
  const {
    seconds: _,
    step_seconds: __,
    time_estimate: _____,
    started_at: ___,
    // It remembers how long steps took.
    health: ____,
    ...state
  } = JSON.parse(await text("checkpoint-6/trainer_state.json"));
  return {
    state,
    adapter: await digestFile(join(runDir, "adapter/adapter_model.safetensors")),
    optimizer: await digestFile(join(runDir, "checkpoint-6/optimizer.safetensors")),
    counts: await text("checkpoint-6/callbacks_state.json"),
    metrics: await text("metrics.jsonl"),
    samples: await text("samples.jsonl"),
  };
}

test("what a callback has decided and counted is the same after a stop at any event, and after any checkpoint", async () => {
  const { trainer: whole, outputDir: first } = await trainer(args, {}, { callbacks: [new Decider()] });
  const { events } = await record(whole.train());
  const expected = await outcome(first);
  expect(JSON.parse(expected.counts).decider).toMatchObject({ stepBegin: 6, step: 6, epochBegin: 2, epochEnd: 2 });
  expect(new Set(ofType(events, "step").map(({ learningRate }) => learningRate)).size).toBe(5);
  for (const stop of [1, 2, 3, 4, 5]) {
    const controller = new AbortController();
    const stopping: TrainCallback = (event) => {
      if (event.type === "step" && event.step === stop) controller.abort();
    };
    const { trainer: made, outputDir } = await trainer(args, {}, { callbacks: [new Decider(), stopping] });
    await expect(made.train({ signal: controller.signal })).rejects.toThrow(`after step ${stop} of 6`);
    const { trainer: next } = await trainer({ ...args, outputDir }, {}, { callbacks: [new Decider()] });
    expect((await next.train({ resumeFromCheckpoint: true })).warnings).toEqual([]);
    expect(await outcome(outputDir), `stopped after step ${stop}`).toEqual(expected);
  }
  // As after a kill: nothing is there of what came after the checkpoint.
  for (const step of [2, 3, 4]) {
    const { trainer: made, outputDir } = await trainer(args, {}, { callbacks: [new Decider()] });
    await made.train();
    const { trainer: next } = await trainer({ ...args, outputDir }, {}, { callbacks: [new Decider()] });
    await next.train({ resumeFromCheckpoint: join(outputDir, `checkpoint-${step}`) });
    expect(await outcome(outputDir), `from checkpoint ${step}`).toEqual(expected);
  }
});

const stateful = (name: string, state: Partial<CallbackState> = {}): CallbackObject => ({
  name,
  onEvent: () => {},
  state: { save: () => ({ seen: 1 }), load: () => {}, ...state },
});

/** A finished run with the state of a callback, and what becomes of going on with others. */
async function goOn(callbacks: TrainCallback[]) {
  const { trainer: made, outputDir } = await trainer(args, {}, { callbacks: [stateful("counter")] });
  await made.train();
  const { trainer: next } = await trainer({ ...args, outputDir }, {}, { callbacks });
  const path = join(outputDir, "checkpoint-4");
  return { path, ...(await record(next.train({ resumeFromCheckpoint: path }))) };
}

test("state that a callback refuses is a CheckpointError that names it", async () => {
  const load = () => {
    throw new Error("counts of another version");
  };
  const { error, path } = await goOn([stateful("counter", { load })]);
  expect(error).toBeInstanceOf(CheckpointError);
  expect(error?.message).toBe(
    `[${path}] expected a state that callback "counter" takes, got: counts of another version; give the callback that wrote it, or start a new run`,
  );
});

test("state without its callback, and a callback without state, are told", async () => {
  const { error, events, path } = await goOn([stateful("other")]);
  expect(error).toBeNull();
  expect(ofType(events, "warning").map(({ message }) => message)).toEqual([
    `callback "other" has state, but ${path} holds none of it: it begins from the start`,
    `${path} holds the state of the callback "counter", which is not given with state now: the run goes on without it`,
  ]);
});

test("a rate that a callback has set stays where none is given, which is told", async () => {
  const setting: TrainCallback = (event, { control }) => {
    if (event.type === "step" && event.step === 1) control.setLearningRate(1e-4);
  };
  const { trainer: made, outputDir } = await trainer(args, {}, { callbacks: [setting] });
  await made.train();
  const { trainer: next } = await trainer({ ...args, outputDir });
  const { events } = await record(next.train({ resumeFromCheckpoint: join(outputDir, "checkpoint-4") }));
  expect(ofType(events, "step").map(({ learningRate }) => learningRate)).toEqual([1e-4, 1e-4]);
  expect(ofType(events, "warning")[0]?.message).toContain(
    "the learning rate stays at 0.0001, as a callback had set it",
  );
});

test("a state that JSON would change is named, and the rest of the run is kept", async () => {
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  const wrong: [() => unknown, RegExp][] = [
    [
      () => ({ seen: new Map() }),
      /^\[callback "counter"\] expected its state as a JSON value, got: \{ seen: Map\(0\) .*, which JSON writes as \{"seen":\{\}\};/u,
    ],
    [() => ({ list: [1, Number.NaN] }), /which JSON writes as \{"list":\[1,null\]\};/u],
    [() => undefined, /got: undefined, which JSON writes as undefined;/u],
    [() => loop, /^\[callback "counter"\]/u],
    [() => JSON.parse("{"), /^\[callback "counter"\] expected its state as a JSON value, got: .*; fix the callback$/u],
  ];
  for (const [save, message] of wrong) {
    const callbacks = [stateful("counter", { save }), stateful("good")];
    const { trainer: made, outputDir } = await trainer(args, {}, { callbacks });
    const { error } = await record(made.train());
    expect(error).toMatchObject({ code: "CALLBACK_FAILED", message: expect.stringMatching(message) });
    const kept = JSON.parse(await readFile(join(outputDir, "checkpoint-2/callbacks_state.json"), "utf8"));
    expect(kept).toEqual({ good: { seen: 1 } });
    const { trainer: next } = await trainer({ ...args, outputDir }, {}, { callbacks: [stateful("counter")] });
    expect((await record(next.train({ resumeFromCheckpoint: true }))).error).toBeNull();
  }
});

test("callbacks are named after themselves, their class or their place, and wrong ones are refused at once", async () => {
  class Uploader {
    onEvent({ type }: TrainEvent): void {
      if (type === "log") throw new Error("no network");
    }
  }
  const uploader = await trainer({}, {}, { callbacks: [() => {}, new Uploader()] });
  await expect(uploader.trainer.train()).rejects.toThrow('[callback "Uploader"] expected no error on the event "log"');
  const state = { save: () => 1, load: () => {} };
  const wrong: [unknown[], RegExp][] = [
    [[3], /^\[callbacks\[0\]\] expected a function, or an object with the function onEvent, got neither/u],
    [[() => {}, { onStepEnd: () => {} }], /^\[callbacks\[1\]\] expected a function/u],
    [[{ onEvent: () => {}, name: 3 }], /^\[callbacks\[0\]\.name\] expected a text, got 3/u],
    [[{ onEvent: () => {}, name: "a", state: {} }], /^\[callbacks\[0\]\.state\] expected the functions save and load/u],
    [[{ onEvent: () => {}, state }], /expected a name for each callback with state/u],
    [[stateful("a"), stateful("a")], /expected names of their own for callbacks with state, got "a" twice/u],
  ];
  for (const [callbacks, message] of wrong) {
    const made = trainer({}, {}, { callbacks: callbacks as TrainCallback[] });
    await expect(made).rejects.toThrow(OptionError);
    await expect(made).rejects.toThrow(message);
  }
});
