import { DataError } from "@tunesmith/core";
import { expect, test, vi } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { mixDatasets } from "../sources/mix.ts";
import type { DatasetSource, RowObject } from "../sources/source.ts";
import { splitDataset } from "../sources/split.ts";
import { plainOptions, prepareRows } from "../testing/prepare-rows.ts";
import { rowsFile } from "../testing/read-rows.ts";
import { ExampleStream, type StreamedExample } from "./example-stream.ts";
import type { PrepareOptions } from "./prepare-options.ts";

const stream = (source: DatasetSource, more: Partial<PrepareOptions> = {}) =>
  new ExampleStream(source, letterTokenizer, { ...plainOptions, ...more });

async function all(given: ExampleStream): Promise<StreamedExample[]> {
  const found: StreamedExample[] = [];
  for await (const example of given.pass()) found.push(example);
  return found;
}

const row = (n: number) => ({ prompt: `${n} `, completion: "abc".repeat(1 + (n % 9)) });
const list = Array.from({ length: 700 }, (_, n) => row(n));

test("the examples and the report of a pass are those of a data set that is prepared whole", async () => {
  const chats = Array.from({ length: 500 }, (_, n) => ({
    messages: [
      { role: "user", content: `q${n % 400}` },
      { role: "assistant", content: "y".repeat(n % 30), ...(n % 50 === 0 && { weight: 0 }) },
    ],
    id: n,
  }));
  const path = await rowsFile(
    [...chats, "no row", { messages: "none" }].map((entry) => JSON.stringify(entry)).join("\n"),
  );
  for (const [source, more] of [
    [path, { onBadRow: "skip", maxLength: 20 }],
    [list, { truncationMode: "drop", maxLength: 12 }],
    [
      mixDatasets([{ dataset: list.slice(0, 100) }, { dataset: [{ text: "plain" }, { text: "text" }], weight: 0.1 }], {
        stopping: "all_exhausted",
      }),
      {},
    ],
    [splitDataset(list, { testSize: 0.3, splitStrategy: "hash" }).train, {}],
  ] as [DatasetSource, Partial<PrepareOptions>][]) {
    const whole = await prepareRows(source, more);
    const streamed = stream(source, more);
    const found = await all(streamed);
    expect(found.map(({ place: _, ...example }) => example)).toEqual([...whole.examples]);
    expect(found.map(({ place }) => place)).toEqual([...whole.examples].map(({ rowId }) => whole.locate(rowId)));
    expect(streamed.report).toEqual({ ...whole.report, streamed: true });
    // A second pass gives the same, and is not counted again.
    expect(await all(streamed)).toEqual(found);
    expect(streamed.report).toEqual({ ...whole.report, streamed: true });
  }
});

/** Rows without end; `read` has those that were asked for. */
function* endless(read: number[]): Generator<RowObject, undefined> {
  for (let n = 0; ; n += 1) {
    read.push(n);
    yield row(n);
  }
}

test("no more is read than a few batches ahead, and the report counts what was taken", async () => {
  const read: number[] = [];
  const streamed = stream(() => endless(read));
  const examples = streamed.pass();
  for (let n = 1; n <= 2000; n += 1) {
    expect((await examples.next()).value?.rowId).toBe(n - 1);
    expect(streamed.report.rows).toBe(n);
    expect(read.length).toBeLessThanOrEqual(n + 5 * 256);
  }
  await examples.return(undefined);
});

test("rows that come slowly are used before a whole batch of them is there", async () => {
  let now = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => {
    now += 400;
    return now;
  });
  const read: number[] = [];
  const examples = stream(() => endless(read)).pass();
  expect((await examples.next()).value?.rowId).toBe(0);
  clock.mockRestore();
  expect(read.length).toBeLessThan(30);
  await examples.return(undefined);
});

test("a report stays as it was when it was asked for", async () => {
  const rows = Array.from({ length: 600 }, (_, n) => (n % 2 === 0 ? row(n) : { prompt: 5, completion: "c" }));
  const streamed = stream(rows, { onBadRow: "skip", truncationMode: "drop", maxLength: 20 });
  const examples = streamed.pass();
  await examples.next();
  const { report } = streamed;
  const before = JSON.stringify(report);
  for await (const _ of examples);
  expect(JSON.stringify(report)).toBe(before);
  expect(JSON.stringify(streamed.report)).not.toBe(before);
});

test("rows are read ahead while an example is used", async () => {
  const read: number[] = [];
  const examples = stream(() => endless(read)).pass();
  await examples.next();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(read.length).toBeGreaterThan(2 * 256);
  await examples.return(undefined);
});

test("a bad row is an error when it is met, after the batches before it", async () => {
  const rows = list.map((entry, n) => (n === 600 ? { prompt: 5, completion: "" } : entry));
  const streamed = stream(rows);
  let taken = 0;
  const reading = (async () => {
    for await (const _ of streamed.pass()) taken += 1;
  })();
  await expect(reading).rejects.toThrow(/\[data\] rows:601: /u);
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThanOrEqual(600);
  const skipping = stream(rows, { onBadRow: "skip" });
  expect((await all(skipping)).length).toBe(699);
  expect(skipping.report.skipped).toMatchObject({ count: 1, first: [{ place: "rows:601" }] });
  const long = stream([...list.slice(0, 300), { prompt: "p", completion: "c".repeat(100) }], {
    truncationMode: "error",
    maxLength: 60,
  });
  await expect(all(long)).rejects.toThrow(/rows:301: expected at most 60 tokens/u);
});

test("nothing to train on, or no rows, is an error at the end of the pass", async () => {
  await expect(all(stream([]))).rejects.toThrow(DataError);
  await expect(all(stream(function* () {}))).rejects.toThrow(/expected at least one row, got none/u);
  await expect(all(stream([{ prompt: "a", completion: "b" }], { maxLength: 1 }))).rejects.toThrow(
    /expected at least one row with a token to train on/u,
  );
});

test("a generator gives one pass, and a second one says why there is none", async () => {
  const streamed = stream(list.values());
  expect((await all(streamed)).length).toBe(700);
  await expect(all(streamed)).rejects.toThrow(/\[rows\] expected rows that can be read again/u);
});

test("what is remembered of left out rows has an end", async () => {
  const rows = Array.from({ length: 1500 }, () => ({ prompt: "p".repeat(9), completion: "c" }));
  const streamed = stream([...rows, { prompt: "p", completion: "c" }], { truncationMode: "drop", maxLength: 8 });
  await all(streamed);
  expect(streamed.report).toMatchObject({ rows: 1501, kept: 1 });
  expect(streamed.report.dropped.length).toBe(1000);
});
