import { CheckpointError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { type RowStream, StreamBatches, type StreamOptions } from "./stream-batches.ts";

/** Rows that are numbers, in passes of their own length; `read` has what was asked for. */
function stream(passes: readonly number[], read: string[] = []): RowStream<number> {
  return {
    name: "numbers",
    async *pass(epoch): AsyncGenerator<number, undefined> {
      for (let n = 0; n < (passes[epoch] ?? 0); n += 1) {
        read.push(`${epoch}:${n}`);
        yield 100 * epoch + n;
      }
    },
    lengthOf: (row) => 1 + (row % 5),
    *bytesOf(row) {
      yield Uint8Array.of(row & 255, row >> 8);
    },
  };
}

const options = {
  limit: { rows: 2, tokens: Number.POSITIVE_INFINITY },
  accumulation: 2,
  maxSteps: 8,
  signal: new AbortController().signal,
};

async function opened(passes: readonly number[], more: Partial<StreamOptions> = {}, read: string[] = []) {
  const batches = new StreamBatches(stream(passes, read), { ...options, ...more });
  await batches.open();
  return batches;
}

/** Rows of each step by micro-batch, and where the run is after it. */
async function shape(batches: StreamBatches<number>) {
  const steps: unknown[] = [];
  for await (const { step, epochDone, endsEpoch, microBatches } of batches.steps())
    steps.push([
      step,
      microBatches.map((m) => Array.from(m, (index) => batches.row(index)).join()),
      epochDone,
      endsEpoch,
    ]);
  return steps;
}

const whole = [
  [1, ["0,1", "2,3"], 0, false],
  [2, ["4,5", "6"], 1, true],
  [3, ["100,101", "102,103"], 1, false],
  [4, ["104,105", "106"], 2, true],
  [5, ["200,201", "202,203"], 3, true],
  [6, ["300"], 4, true],
  [7, ["400,401", "402,403"], 4, false],
  [8, ["404,405", "406,407"], 4, false],
];
const passes = [7, 7, 4, 1, 1000];

test("steps end with the pass, and their last micro-batch may be smaller", async () => {
  expect(await shape(await opened(passes))).toEqual(whole);
});

test("no more rows are taken than the newest step has, and the next one", async () => {
  const read: string[] = [];
  const batches = await opened([1000], {}, read);
  expect(read).toEqual(["0:0"]);
  await batches.steps().next();
  expect(read.at(-1)).toBe("0:4");
  expect(batches.rows).toEqual([0, 1, 2, 3]);
});

test("a run goes on from any step, having read the pass it is in alone", async () => {
  for (let done = 1; done <= 8; done += 1) {
    const first = await opened(passes);
    const steps = first.steps();
    for (let n = 0; n < done; n += 1) await steps.next();
    const saved = JSON.parse(JSON.stringify(first.state.save(done)));
    const read: string[] = [];
    const second = await opened(passes, {}, read);
    await second.state.load(saved);
    expect(second.at(done)).toMatchObject(first.at(done));
    expect(await shape(second)).toEqual(whole.slice(done));
    expect(new Set(read.map((entry) => entry[0])).size).toBeLessThanOrEqual(1 + 5 - Math.floor(saved.pass));
  }
});

test("a stop between the rows of a step and the step itself is a stop after the step before", async () => {
  const batches = await opened(passes);
  const steps = batches.steps();
  await steps.next();
  await steps.next();
  const again = await opened(passes);
  await again.state.load(batches.state.save(1));
  expect(await shape(again)).toEqual(whole.slice(1));
});

test("other rows than those of the checkpoint are refused, those after it may change", async () => {
  const first = await opened(passes);
  const steps = first.steps();
  for (let n = 0; n < 4; n += 1) await steps.next();
  const saved = first.state.save(4);
  for (const changed of [
    [7, 6],
    [7, 8],
    [7, 3],
    [7, 0],
  ])
    await expect((await opened(changed)).state.load(saved)).rejects.toThrow(
      /\[numbers\] expected the rows that the run was trained on, got others in the first 2 steps of pass 2/u,
    );
  // A pass that was at its end has no more rows later.
  const atEnd = await opened([8]);
  const steps8 = atEnd.steps();
  await steps8.next();
  await steps8.next();
  await expect((await opened([9])).state.load(atEnd.state.save(2))).rejects.toThrow(/the training data has changed/u);
  await expect((await opened(passes)).state.load({ step: 4 })).rejects.toThrow(CheckpointError);
  const grown = await opened([5, 7, 9]);
  await grown.state.load(saved);
  expect((await shape(grown))[0]).toEqual([5, ["200,201", "202,203"], 2, false]);
});

test("a wait for a row ends with the run, and so does the source", async () => {
  const controller = new AbortController();
  let isClosed = false;
  const slow: RowStream<number> = {
    name: "slow",
    async *pass(): AsyncGenerator<number, undefined> {
      try {
        yield 1;
        await new Promise(() => {});
      } finally {
        isClosed = true;
      }
    },
    lengthOf: () => 1,
    *bytesOf() {},
  };
  const batches = new StreamBatches(slow, { ...options, signal: controller.signal });
  await batches.open();
  const next = batches.steps().next();
  setTimeout(() => controller.abort(new Error("stop")), 5);
  await expect(next).rejects.toThrow("stop");
  // What never comes is not waited for.
  await batches.close();
  expect(isClosed).toBe(false);
});

test("what is not read to its end is closed", async () => {
  let isClosed = false;
  const endless: RowStream<number> = {
    name: "endless",
    async *pass(): AsyncGenerator<number, undefined> {
      try {
        for (;;) yield 1;
      } finally {
        isClosed = true;
      }
    },
    lengthOf: () => 1,
    *bytesOf() {},
  };
  const batches = new StreamBatches(endless, options);
  await batches.open();
  await batches.close();
  expect(isClosed).toBe(true);
  await batches.close();
});

test("by tokens, rows are taken as long as they fit", async () => {
  const batches = await opened([12], { limit: { rows: Number.POSITIVE_INFINITY, tokens: 6 }, maxSteps: 3 });
  expect(await shape(batches)).toEqual([
    [1, ["0,1,2", "3"], 0, false],
    [2, ["4,5", "6,7"], 0, false],
    [3, ["8", "9,10"], 0, false],
  ]);
});
