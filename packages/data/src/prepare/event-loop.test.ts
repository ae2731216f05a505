import { expect, test } from "vitest";
import { turns } from "../../../core/src/testing/event-loop-turns.ts";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { encodeItems } from "../encode/encode.ts";
import { ItemReader } from "../formats/item-reader.ts";
import { pack } from "../pack/packing.ts";
import { RowErrors } from "../sources/row-errors.ts";
import { plainOptions, prepareRows } from "../testing/prepare-rows.ts";
import { PartReaders } from "./part-readers.ts";
import { readItems } from "./read-items.ts";

const rows = Array.from({ length: 400 }, (_, n) => ({
  messages: [
    { role: "user", content: "p" },
    { role: "assistant", content: `c${n}` },
  ],
}));

const read = () => {
  const readers = new PartReaders(() => new ItemReader({ ...plainOptions, task: "supervised", hasChatTemplate: true }));
  const given = rows.map((fields, n) => ({ fields, source: "rows", line: n + 1, size: 9 }));
  return readItems(given, readers, new RowErrors());
};

test("the event loop turns between any two rows that take long, at every station", async () => {
  // Read, understood, labelled, counted.
  expect(await turns(() => prepareRows(rows))).toBeGreaterThanOrEqual(4 * 400);
});

test("the event loop turns while rows are understood, and while they are labelled", async () => {
  expect(await turns(read)).toBeGreaterThanOrEqual(399);
  const items = (await read()).map(({ item }) => item);
  expect(await turns(() => encodeItems(items, letterTokenizer, plainOptions))).toBeGreaterThanOrEqual(399);
});

test.each([
  ["bfd", 5300],
  ["best_fit", 650],
  ["bfd_split", 5300],
  ["wrapped", 1350],
] as const)("the event loop turns while a million rows are packed: %s", async (strategy, least) => {
  const lengths = new Int32Array(1_000_000).fill(40);
  // Each loop over all rows goes in pieces of 16,384 at most, each loop over the rows of a batch in one.
  expect(await turns(() => pack(lengths, 100, strategy))).toBeGreaterThanOrEqual(least);
});
