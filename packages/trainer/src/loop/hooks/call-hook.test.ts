import { CallbackError } from "@tunesmith/core";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { ofType, record } from "../../testing/record.ts";
import { trainer } from "../../testing/sft-trainer.ts";
import { callHook, type HookClock, longHold } from "./call-hook.ts";
import type { TrainCallback } from "./callback.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const hook = { label: "callback 1", expected: "no error", kind: "callback" } as const;
const never = () => new Promise<never>(() => {});

/** Holds the thread for so many milliseconds, as the clock has it. */
function holding() {
  const clock = { now: 1000 };
  vi.spyOn(performance, "now").mockImplementation(() => clock.now);
  return (milliseconds: number) => {
    clock.now += milliseconds;
  };
}

test("a promise that does not settle in time is named; none is waited for without a limit", async () => {
  vi.useFakeTimers();
  const onHeld = () => {};
  const late = callHook(hook, { timeout: 5, onHeld }, never).catch((error: Error) => error);
  await vi.advanceTimersByTimeAsync(4999);
  expect(await Promise.race([late, "pending"])).toBe("pending");
  await vi.advanceTimersByTimeAsync(1);
  expect(await late).toMatchObject({
    code: "CALLBACK_FAILED",
    message:
      "[callback 1] expected no error, got a promise that is still pending after 5 seconds (hookTimeout); fix the callback, or raise hookTimeout",
  });
  const unlimited = callHook(hook, { timeout: null, onHeld }, never);
  await vi.advanceTimersByTimeAsync(1e5);
  expect(await Promise.race([unlimited, "pending"])).toBe("pending");
  expect(vi.getTimerCount()).toBe(1);
});

test("the time that the hook waits for us does not count, and what comes too late reaches no one", async () => {
  vi.useFakeTimers();
  const waiting = async (clock: HookClock) => {
    clock.stop();
    await new Promise((resolve) => setTimeout(resolve, 60_000));
    clock.start();
    await new Promise((resolve) => setTimeout(resolve, 4000));
    return 7;
  };
  const called = callHook(hook, { timeout: 5, onHeld: () => {} }, waiting);
  await vi.advanceTimersByTimeAsync(64_000);
  expect(await called).toBe(7);
  const failing = () => new Promise<never>((_, reject) => setTimeout(() => reject(new Error("too late")), 6000));
  const late = callHook(hook, { timeout: 5, onHeld: () => {} }, failing).catch((error: Error) => error);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await late).toMatchObject({ message: expect.stringContaining("hookTimeout") });
});

test("what it throws is named, with the cause", async () => {
  const cause = new Error("out of coffee");
  const throwing = [
    () => {
      throw cause;
    },
    async () => {
      throw cause;
    },
  ];
  for (const work of throwing) {
    const error = await callHook(hook, { timeout: 1, onHeld: () => {} }, work).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(CallbackError);
    expect(error).toMatchObject({
      cause,
      message: "[callback 1] expected no error, got: out of coffee; fix the callback",
    });
  }
});

test("one that holds the thread is told with its milliseconds, in its first part and in a later one", async () => {
  const hold = holding();
  const held: [string, number][] = [];
  const limits = { timeout: null, onHeld: (label: string, milliseconds: number) => held.push([label, milliseconds]) };
  await callHook(hook, limits, () => hold(longHold - 1));
  await callHook(hook, limits, () => hold(longHold));
  await callHook(hook, limits, async () => {
    await Promise.resolve();
    hold(700);
  });
  expect(held).toEqual([
    ["callback 1", longHold],
    ["callback 1", 700],
  ]);
});

test("a callback that holds the thread is named in a warning once, and again where it takes twice as long", async () => {
  const hold = holding();
  const slow: TrainCallback = (event) => {
    if (event.type === "step") hold([600, 600, 1100, 1300, 10, 5][event.step - 1] ?? 0);
    if (event.type === "done") hold(9000);
  };
  const told: string[] = [];
  const listen = ({ message }: Error) => told.push(message);
  process.on("warning", listen);
  onTestFinished(() => void process.off("warning", listen));
  const { trainer: made } = await trainer({ evalStrategy: "no" }, {}, { callbacks: [slow] });
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  expect(ofType(events, "warning").map(({ step, message }) => [step, message])).toEqual([
    [
      1,
      expect.stringMatching(/^callback "slow" held the thread for 600 milliseconds: .*; give long work to a worker/u),
    ],
    [4, expect.stringMatching(/^callback "slow" held the thread for 1300 milliseconds/u)],
  ]);
  // Nothing comes after the last event.
  expect(events.at(-1)?.type).toBe("done");
  await new Promise((resolve) => setTimeout(resolve, 1));
  expect(told).toEqual([expect.stringContaining("9000 milliseconds")]);
});

test("a callback that hangs is named, and the run is saved and goes on in another one", async () => {
  const callbacks = [
    { name: "upload", onEvent: ({ type }: { type: string }) => (type === "log" ? never() : undefined) },
  ];
  const { trainer: made, outputDir } = await trainer({ hookTimeout: 0.01, evalStrategy: "no" }, {}, { callbacks });
  const { events, error } = await record(made.train());
  expect(error).toMatchObject({
    code: "CALLBACK_FAILED",
    message: expect.stringMatching(/^\[callback "upload"\] expected no error on the event "log", got a promise that/u),
  });
  expect(events.at(-1)).toMatchObject({ type: "checkpoint", step: 1 });
  const { trainer: next } = await trainer({ evalStrategy: "no", outputDir });
  const { trainer: whole } = await trainer({ evalStrategy: "no" });
  const resumed = await next.train({ resumeFromCheckpoint: true });
  expect(resumed.lossHash).toBe((await whole.train()).lossHash);
});

test("a schedule of the program that hangs is named too", async () => {
  const { trainer: made } = await trainer({ hookTimeout: 0.01 }, {}, { lrScheduler: never });
  const { error } = await record(made.train());
  expect(error?.message).toMatch(/^\[lrScheduler\] expected a learning rate for step 1, got a promise that is still/u);
});
