import { AbortError } from "@tunesmith/core";
import { expect, test } from "vitest";
import type { TrainEvent, WarningEvent } from "./events.ts";
import type { TrainResult } from "./result.ts";
import { type RunControl, TrainRun } from "./run.ts";
import { Unheard } from "./unheard.ts";

const event = (step: number): WarningEvent => ({ type: "warning", step, message: "" });
const result = { globalStep: 3 } as TrainResult;
const soon = () => new Promise((resolve) => setImmediate(resolve));

/** A run that emits one event per step and rests in between. */
function run(steps: number, signal?: AbortSignal): { run: TrainRun; control: RunControl } {
  let control: RunControl | null = null;
  const made = new TrainRun(async (given) => {
    control = given;
    given.setState("running");
    for (let step = 1; step <= steps; step += 1) {
      await given.rest();
      given.signal.throwIfAborted();
      given.emit(event(step));
      await soon();
    }
    return result;
  }, signal);
  return { run: made, control: control as unknown as RunControl };
}

async function steps(source: AsyncIterable<TrainEvent>, limit = Number.POSITIVE_INFINITY): Promise<number[]> {
  const seen: number[] = [];
  for await (const entry of source) {
    seen.push((entry as WarningEvent).step);
    if (seen.length === limit) break;
  }
  return seen;
}

test("a late iterator loses nothing, and the result can be awaited as well", async () => {
  const { run: made } = run(3);
  expect(await made).toBe(result);
  expect(await steps(made)).toEqual([1, 2, 3]);
  expect(made.state).toBe("done");
});

test("iterators that begin together see everything; one that follows goes on where reading ended", async () => {
  const { run: made } = run(5);
  const [first, second] = await Promise.all([steps(made), steps(made)]);
  expect([first, second]).toEqual([
    [1, 2, 3, 4, 5],
    [1, 2, 3, 4, 5],
  ]);
  const { run: other } = run(5);
  expect(await steps(other, 2)).toEqual([1, 2]);
  expect(await steps(other)).toEqual([3, 4, 5]);
});

test("leaving the loop ends nothing: the run goes on, can be awaited, iterated again and aborted", async () => {
  const { run: made } = run(5);
  expect(await steps(made, 1)).toEqual([1]);
  expect(made.state).toBe("running");
  expect(await made).toBe(result);
  expect(await steps(made)).toEqual([2, 3, 4, 5]);
  const { run: other } = run(1000);
  await steps(other, 1);
  other.abort(new AbortError("[test] enough"));
  await expect(other).rejects.toThrow("enough");
});

/** A run with warnings 1 to 4, and those that have become warnings of the process. */
function warned(hasCallbacks = false) {
  const told: string[] = [];
  const unheard = new Unheard(hasCallbacks, (message) => told.push(message));
  const made = new TrainRun(
    async (control) => {
      for (let step = 1; step <= 4; step += 1) {
        control.emit({ type: "warning", step, message: `warning ${step}` });
        await soon();
      }
      return result;
    },
    undefined,
    unheard,
  );
  return { made, told };
}

test("a warning that no iterator reads and no callback is given becomes one of the process", async () => {
  const awaited = warned();
  await awaited.made;
  expect(awaited.told).toEqual(["warning 1", "warning 2", "warning 3", "warning 4"]);
  const called = warned(true);
  await called.made;
  expect(called.told).toEqual([]);
});

test("what an iterator has read is told once, what follows its end is told", async () => {
  const { made, told } = warned();
  // The first warning comes at once, before anyone can listen.
  expect(await steps(made, 2)).toEqual([1, 2]);
  await made;
  expect(told).toEqual(["warning 1", "warning 3", "warning 4"]);
});

test("a failure after the loop was left reaches the process, unless the run is awaited or was stopped", async () => {
  const heard: string[] = [];
  const listener = ({ message }: Error) => heard.push(message);
  process.on("warning", listener);
  const failing = (error: Error) =>
    new TrainRun(
      async (control) => {
        control.emit(event(1));
        await soon();
        await soon();
        throw error;
      },
      undefined,
      new Unheard(true),
    );
  await steps(failing(new Error("alone")), 1);
  await steps(failing(new AbortError("asked")), 1);
  const awaited = failing(new Error("awaited"));
  await steps(awaited, 1);
  await expect(awaited).rejects.toThrow("awaited");
  await new Promise((resolve) => setTimeout(resolve, 20));
  process.off("warning", listener);
  expect(heard).toEqual(["alone"]);
});

test("a failure reaches the promise and the iterator, after all events", async () => {
  const made = new TrainRun(async (control) => {
    control.emit(event(1));
    await soon();
    throw new Error("broken");
  });
  const seen: TrainEvent[] = [];
  await expect(
    (async () => {
      for await (const entry of made) seen.push(entry);
    })(),
  ).rejects.toThrow("broken");
  expect(seen).toHaveLength(1);
  await expect(made).rejects.toThrow("broken");
  expect(made.state).toBe("failed");
});

test("pause holds between two steps until resume", async () => {
  const { run: made } = run(50);
  await soon();
  await made.pause();
  expect(made.state).toBe("paused");
  const before = (
    await Promise.race([steps(made), new Promise<number[]>((resolve) => setTimeout(() => resolve([]), 20))])
  ).length;
  expect(before).toBe(0);
  expect(made.state).toBe("paused");
  made.resume();
  expect(await made).toBe(result);
  await made.pause();
});

test("a pause that is taken back at once resolves", async () => {
  const { run: made } = run(3);
  const paused = made.pause();
  made.resume();
  await paused;
  expect(await made).toBe(result);
});

test("abort wakes a paused run; a signal does the same", async () => {
  const { run: made } = run(50);
  await made.pause();
  made.abort();
  await expect(made).rejects.toMatchObject({ name: "AbortError" });
  expect(made.state).toBe("aborted");

  const controller = new AbortController();
  const { run: other } = run(50, controller.signal);
  await soon();
  controller.abort(new AbortError("[test] enough"));
  await expect(other).rejects.toThrow("enough");
  expect(other.state).toBe("aborted");
});
