import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { IGNORE_INDEX } from "../encode/mask.ts";
import { prepareRows } from "../testing/prepare-rows.ts";

/** Ids and labels of rows, `null` for what is not trained. */
async function prepared(...rows: Record<string, unknown>[]): Promise<[number[], (number | null)[]][]> {
  const { examples } = await prepareRows(rows);
  return [...examples].map(({ ids, labels }) => [
    [...ids],
    Array.from(labels, (label) => (label === IGNORE_INDEX ? null : label)),
  ]);
}

const ids = [5, 6, 7, 8];

test("ids are taken as they are, labelled by labels or masks", async () => {
  expect(
    await prepared(
      { input_ids: ids },
      { input_ids: ids, labels: [IGNORE_INDEX, IGNORE_INDEX, 7, 8] },
      { input_ids: ids, completion_mask: [0, 1, 1, 1], attention_mask: [1, 1, 1, 1] },
      { input_ids: ids, assistant_masks: [0, 1, 0, 1], completion_mask: [0, 0, 1, 1], labels: null },
    ),
  ).toEqual([
    [ids, ids],
    [ids, [null, null, 7, 8]],
    [ids, [null, 6, 7, 8]],
    [ids, [null, null, null, 8]],
  ]);
});

test("padding is taken off at both ends", async () => {
  const row = {
    input_ids: [0, 5, 6, 0],
    attention_mask: [0, 1, 1, 0],
    labels: [0, 5, 6, 0],
    position_ids: [0, 0, 1, 2],
  };
  expect(await prepared(row)).toEqual([
    [
      [5, 6],
      [5, 6],
    ],
  ]);
});

test("the text that ids were made of is not read, and named", async () => {
  const { report } = await prepareRows([{ input_ids: ids, text: "t", token_type_ids: [0, 0, 0, 0] }]);
  expect([report.format, report.ignoredColumns]).toEqual(["tokenized", ["text", "token_type_ids"]]);
});

test("a program may give typed arrays", async () => {
  const row = {
    input_ids: Uint16Array.of(5, 6),
    labels: BigInt64Array.of(-100n, 6n),
    attention_mask: Uint8Array.of(1, 1),
  };
  expect(await prepared(row)).toEqual([
    [
      [5, 6],
      [null, 6],
    ],
  ]);
});

test("numbers of a file are integers however they are written", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-tokenized-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "rows.jsonl");
  await writeFile(path, '{"input_ids":[5,6.0,7e0],"labels":[-100,6,7.0]}\n');
  const { examples } = await prepareRows(path);
  expect([...examples].map((example) => [...example.labels])).toEqual([[IGNORE_INDEX, 6, 7]]);
});

test.each<[object, RegExp]>([
  [{ input_ids: [] }, /expected token ids in column "input_ids", got none/u],
  [{ input_ids: "5 6" }, /expected a list of integers in column "input_ids", got a string/u],
  [{ input_ids: [5, 1.5] }, /expected an integer of 0 to 2147483647 in input_ids\[1\], got 1.5/u],
  [{ input_ids: [5, -1] }, /in input_ids\[1\], got -1/u],
  [{ input_ids: [5, 2 ** 31] }, /in input_ids\[1\], got 2147483648/u],
  [{ input_ids: [5, "6"] }, /in input_ids\[1\], got a string/u],
  [{ input_ids: [5, null] }, /in input_ids\[1\], got null/u],
  [{ input_ids: ids, labels: [5, 6, 7] }, /expected 4 entries in column "labels", as many as in "input_ids", got 3/u],
  [
    { input_ids: ids, labels: [6, 7, 8, IGNORE_INDEX] },
    /the id 5 of input_ids\[0\] or -100 in labels\[0\], got 6; labels are not shifted/u,
  ],
  [{ input_ids: ids, labels: [5, 6, 7, -1] }, /in labels\[3\], got -1/u],
  [{ input_ids: ids, completion_mask: [0, 1] }, /expected 4 entries in column "completion_mask"/u],
  [{ input_ids: ids, completion_mask: [0, 1, 2, 1] }, /expected 0 or 1 in completion_mask\[2\], got 2/u],
  [{ input_ids: ids, assistant_masks: 1 }, /expected a list of integers in column "assistant_masks", got a number/u],
  [{ input_ids: ids, assistant_masks: [true, 1, 1, 1] }, /in assistant_masks\[0\], got a boolean/u],
  [{ input_ids: ids, attention_mask: [1, 0, 1, 1] }, /got 0 in attention_mask\[1\] between two tokens/u],
  [{ input_ids: ids, attention_mask: [0, 0, 0, 0] }, /expected a token that is no padding/u],
  [{ input_ids: ids, seq_lengths: [2, 2] }, /expected one document a row, got 2 in "seq_lengths"/u],
  [{ input_ids: ids, position_ids: [0, 1, 0, 1] }, /positions that go up by one, got 0 in position_ids\[2\]/u],
])("%j is refused", async (row, message) => {
  await expect(prepareRows([row as Record<string, unknown>])).rejects.toThrow(message);
});

test("an id beyond the model's embedding is refused with its row", async () => {
  const run = prepareRows([{ input_ids: ids }, { input_ids: [5, 9] }], { vocabSize: 9 });
  await expect(run).rejects.toThrow(/rows:2: expected tokens below 9/u);
});
