import { expect, test } from "vitest";
import { ColumnBuilder, ColumnExamples } from "../examples/columns.ts";
import { PackBuilder } from "./packs.ts";
import { TrainingRows } from "./training-rows.ts";

/** Two examples, of 5 and 3 tokens; the first has a prompt of 2 and weights. */
async function examples(): Promise<ColumnExamples> {
  const builder = new ColumnBuilder();
  const about = { turns: 2, truncated: false };
  const first = { ids: Int32Array.of(10, 11, 12, 13, 14), labels: Int32Array.of(-100, -100, 12, 13, 14) };
  builder.add({ ...about, ...first, weights: Float32Array.of(0, 0, 1, 0.5, 2), length: 5, rowId: 7 });
  const second = { ids: Int32Array.of(20, 21, 22), labels: Int32Array.of(20, 21, 22) };
  builder.add({ ...about, ...second, length: 3, rowId: 9 });
  return new ColumnExamples(await builder.finish());
}

test("without packs every example is a row, whole", async () => {
  const all = await examples();
  const rows = new TrainingRows(all);
  expect([rows.length, [...rows.lengths]]).toEqual([2, [5, 3]]);
  expect(rows.at(0)).toEqual([all.at(0)]);
  expect(rows.facts(0)).toEqual({ length: 5, turns: 2, trainedTokens: 3, rowIds: [7] });
  expect(rows.pieces(1)).toEqual([{ example: 1, start: 0, length: 3 }]);
});

test("a piece has the tokens, labels and weights of its own place", async () => {
  const builder = new PackBuilder();
  const [mixed, start] = [builder.open(), builder.open()];
  builder.place(mixed, 0, 3, 2);
  builder.place(start, 0, 0, 3);
  builder.place(mixed, 1, 0, 3);
  const packs = (await builder.finish()).packs;
  const rows = new TrainingRows(await examples(), packs);
  expect([...rows.lengths]).toEqual([5, 3]);
  // A packed row is as long as its longest sequence.
  expect(rows.facts(0)).toEqual({ length: 3, turns: 2, trainedTokens: 5, rowIds: [7, 9] });
  const numbers = (row: number) =>
    rows.at(row).map(({ ids, labels, weights, length, rowId, truncated }) => {
      return { ids: [...ids], labels: [...labels], weights: [...(weights ?? [])], length, rowId, truncated };
    });
  expect(numbers(0)).toEqual([
    { ids: [13, 14], labels: [13, 14], weights: [0.5, 2], length: 2, rowId: 7, truncated: true },
    { ids: [20, 21, 22], labels: [20, 21, 22], weights: [1, 1, 1], length: 3, rowId: 9, truncated: false },
  ]);
  expect(numbers(1)).toEqual([
    { ids: [10, 11, 12], labels: [-100, -100, 12], weights: [0, 0, 1], length: 3, rowId: 7, truncated: true },
  ]);
});
