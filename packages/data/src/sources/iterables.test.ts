import { Readable } from "node:stream";
import { DataError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { fieldsOf } from "../testing/read-rows.ts";
import { isStream, mixDatasets } from "./mix.ts";
import type { DatasetSource } from "./source.ts";

const rows = [{ text: "a" }, { text: "b" }];

function* generator() {
  yield* rows;
}

async function* asyncGenerator() {
  yield* rows;
}

const again: [string, () => DatasetSource][] = [
  ["a generator function", () => generator],
  ["an async generator function", () => asyncGenerator],
  ["a function that gives an array", () => () => rows],
  ["an object that begins again", () => ({ [Symbol.iterator]: generator })],
  ["a set", () => new Set(rows)],
];

test.each(again)("%s can be read several times", async (_, make) => {
  const source = make();
  expect([await fieldsOf(source), await fieldsOf(source)]).toEqual([rows, rows]);
  expect(isStream(source)).toBe(true);
});

const once: [string, () => DatasetSource][] = [
  ["a generator", generator],
  ["an async generator", asyncGenerator],
  ["an iterator of a map", () => new Map([[1, rows[0] as object]]).values() as Iterable<Record<string, unknown>>],
  ["a stream of Node", () => Readable.from(rows)],
  ["a web stream", () => ReadableStream.from(rows) as AsyncIterable<Record<string, unknown>>],
];

test.each(once)("%s gives its rows once, and a second reading says so", async (_, make) => {
  const source = make();
  expect((await fieldsOf(source)).length).toBeGreaterThan(0);
  const second = fieldsOf(source);
  await expect(second).rejects.toThrow(DataError);
  await expect(second).rejects.toThrow(/\[memory\] expected rows that can be read again, got a generator or stream/u);
});

test("a function that gives something else is refused", async () => {
  for (const give of [() => null, () => 5, async () => rows])
    await expect(fieldsOf(give as unknown as () => typeof rows)).rejects.toThrow(
      /expected a function that gives an iterable or async iterable of rows, got one that gives (null|number|object)/u,
    );
});

test("files and arrays are no streams; a mix is one where a part of it is", () => {
  expect([isStream("rows.jsonl"), isStream(["a.jsonl"]), isStream(rows)]).toEqual([false, false, false]);
  expect(isStream(mixDatasets([{ dataset: rows }, { dataset: generator }]))).toBe(true);
  expect(isStream(mixDatasets([{ dataset: rows }, { dataset: "a.jsonl" }]))).toBe(false);
});
